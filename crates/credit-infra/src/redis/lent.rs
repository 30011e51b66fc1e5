//! The watched connection as libraries want one.

use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};

use super::link::RedisLink;

/// Whatever connection the link has at the moment: a library that holds this one goes over to the next with the link, and
/// gets an error at once while Redis is left alone.
#[derive(Debug, Clone)]
pub(crate) struct LentConnection {
    link: Arc<RedisLink>,
    purpose: &'static str,
}

impl LentConnection {
    /// Its commands are counted under this purpose.
    pub(crate) fn new(link: Arc<RedisLink>, purpose: &'static str) -> Self {
        Self { link, purpose }
    }
}

impl ConnectionLike for LentConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let work = move |mut wire: super::pool::Wire| async move { wire.req_packed_command(command).await };
        Box::pin(self.link.pass(self.purpose, work))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let work = move |mut wire: super::pool::Wire| async move {
            wire.req_packed_commands(commands, offset, count).await
        };
        Box::pin(self.link.pass(self.purpose, work))
    }

    /// Only for commands that a library sends anew; the database of the address is chosen already.
    fn get_db(&self) -> i64 {
        0
    }
}
