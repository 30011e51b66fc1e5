//! `store check|migrate|status|copy|dump`

pub(crate) mod check;
pub(crate) mod copy;
pub(crate) mod dump;
pub(crate) mod status;
