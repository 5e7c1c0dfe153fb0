//! The one integration binary: a file a feature, names that read as sentences. What each needs is started by `support`.

mod render_plan;
mod support;
mod yaml;
