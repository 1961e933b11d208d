// Counts what has been sent and not yet taken by the transport, and says when to stop and to go on.
// Messages count as well as bytes: tiny ones would otherwise fill the event loop long before a megabyte.

/** Marks above which `send` returns false; at half of both it may go on. */
export const sendQueueBytesMax = 1024 * 1024;
export const sendQueueMessagesMax = 256;

export interface SendMeter {
  /** One more message; false: above a mark now. */
  add(bytes: number): boolean;
  /** The transport has taken a message of that many bytes. */
  taken(bytes: number): void;
}

/** `onDrain` runs once each time the queue has fallen to half after `add` returned false. */
export function createSendMeter(onDrain: () => void): SendMeter {
  let queuedBytes = 0;
  let queuedMessages = 0;
  let full = false;
  return {
    add(bytes) {
      queuedBytes += bytes;
      queuedMessages += 1;
      if (queuedBytes > sendQueueBytesMax || queuedMessages > sendQueueMessagesMax) full = true;
      return !full;
    },
    taken(bytes) {
      queuedBytes -= bytes;
      queuedMessages -= 1;
      if (!full) return;
      if (queuedBytes > sendQueueBytesMax / 2 || queuedMessages > sendQueueMessagesMax / 2) return;
      full = false;
      onDrain();
    },
  };
}
