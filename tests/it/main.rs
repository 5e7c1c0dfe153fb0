//! The one integration binary: a file a feature, names that read as sentences. What each needs is started by `support`.

mod house;
mod git_history;
mod git_http;
mod git_mirror;
mod git_ssh;
mod support;
