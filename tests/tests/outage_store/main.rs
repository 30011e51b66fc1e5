//! What callers, balancers and operators see when the store of the real program misbehaves, and that it heals by itself.
//!
//! | store | state | calls | ready | alive |
//! |---|---|---|---|---|
//! | embedded | disk full | `503` at once | no | yes |
//! | embedded | syncs do not return | `503` within ten seconds; a wallet is read as ever | yes | yes |
//! | embedded | a sync takes two seconds | an answer, slowly; a wallet is read as ever | yes | yes |
//! | embedded | a sync or a write fails | `503` at once, until the process starts again | no | yes |
//! | embedded | damaged, not to be made, or not to be written, at the start | no start, exit code 4 | | |
//! | embedded | told to stop, failed or with syncs that do not return | an end in time, exit code 4 | | |
//! | `MongoDB` | away at the start | `503` at once | no | yes |
//! | `MongoDB` | killed, or answering nonsense | `503` at once | no | yes |
//! | `MongoDB` | stopped (SIGSTOP) | `503` within its deadline, soon at once | no | yes |
//! | `MongoDB` | slow by two seconds | mostly `503` at once, else an answer within the deadlines | mostly no | yes |
//!
//! After each but a failed sync or write the same process is ready again within ten seconds, every key has one outcome, and the books agree.

mod disk;
mod ends;
mod failed;
mod load;
mod mongodb;
mod program;
mod syncs;
mod tracer;
