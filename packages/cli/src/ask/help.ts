// `whither --help`: enough for somebody who has never used it.

export const helpText = `whither asks by which messaging providers somebody can be reached, and proves the answer.

Usage:
  whither [@server] CSI [CSI …] [+option …] [-f FILE|-]
  whither setup                    write the configuration, once
  whither register --help          register an identifier at a provider
  whither verify FILE              verify a credential or a directory offline
  whither completion bash          completion for bash, zsh or fish

A CSI is a number (+49 30 123456), an e-mail address, a handle (acct:bob@video.example), or a national
number with --region. Words may come in any order; every +option may be written --option; +no… negates.

Where to ask:
  @host[:port]         the directory to start at (port 7363 unless given); @file:PATH for an artefact
  --config FILE        configuration; else WHITHER_CONFIG, else ~/.config/whither/config.yaml
  --region DE          country of national numbers
  -f FILE, -f -        one CSI a line from a file or stdin, as one batch, in order

What to ask:
  +verbose +compact    all signatures, or only who is there by the DP's word
                       (one CSI is verbose unless told, several are compact)
  +msp=A,B             only these providers; no server learns the wish
  +jurisdiction=DE,FR  ask only servers of the providers that lie in these countries
  +nomirror            walk the directory instead of using the mirrored copy
  +timeout=7s +tries=2 time for one try, and how many
  +hops=N              forwards between DPs, 0..4
  +cd                  show data that does not verify, marked

What to print:
  +short               only the providers
  +json, +yaml         one JSON object a CSI and line, or one YAML document a CSI
  +trace               each hop: who was asked, what it was told, what it said
  +validate            each check with its verdict
  +[no]all +[no]answer +[no]proof +[no]provenance +[no]comments +[no]stats
                       sections of the full output: +noall +answer prints the answer alone

Not available in this version: +federation +dp +audience +policy +privacy=relayed,
whither setup.

Exit status: 0 found · 1 proven absent · 2 wrong usage · 3 bogus · 4 refused or limited
  5 unreachable or timed out · 6 incomplete. With several CSIs the first of 2, 3, 4, 5, 6 that
  occurred, else 0.

Examples:
  whither +14155550123
  whither alice@example.org +trace
  whither acct:bob@video.example +short
  whither -f contacts.txt +json > answers.jsonl
`;
