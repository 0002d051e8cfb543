//! A source that is sent again and again → a session a round, on one link.
//!
//! The server waits behind each round for the next one, and keeps what the round has left of its tree (see
//! [`Follower`](super::Follower)), so that a round costs neither a login nor a scan there. A link that is lost, or on
//! which a round has failed, is of no more use: the next round needs another.

use std::convert::Infallible;

use crossbeam_channel::TryRecvError;

use super::client::{self, Remote, Scanning};
use super::resolve::Shape;
use super::wire::{self, Use, Wire};
use super::{Options, Summary, SyncError, Tree};
use crate::net::{self, Link};
use crate::transfer::message::{Hello, Message};

/// A link to a server that waits for the next round. Dropped, it says goodbye.
pub struct Line {
    wire: Wire,
    /// What the rounds are of: the server was told once.
    remote: Remote,
    shape: Option<Shape>,
    /// What earlier rounds have sent and received.
    before: net::Wire,
}

impl Line {
    /// One on which no round was yet.
    ///
    /// # Errors
    /// [`SyncError::Net`] if nothing can be sent.
    pub fn new(link: Link, remote: &Remote, options: &Options) -> Result<Line, SyncError> {
        client::check(remote, options)?;
        let wire = wire::open(link, Use { followed: true, ..Use::new(options, true, false) })?;
        Ok(Line { wire, remote: remote.clone(), shape: None, before: net::Wire::default() })
    }

    /// Whether the next round may be one of a source of that shape: the server is there, as far as is known, and waits
    /// for such a one.
    #[must_use]
    pub fn is_ready(&self, shape: &Shape) -> bool {
        let is_silent = matches!(self.wire.inbox.try_recv(), Err(TryRecvError::Empty));
        is_silent && self.shape.as_ref().is_none_or(|before| before == shape)
    }

    /// Makes the server's tree what is being scanned. Gives the source too, with all that was learned of it, and keeps
    /// nothing of it in the cache. `options` are those of the first round.
    ///
    /// # Errors
    /// [`SyncError`], if the round ended early; the link is closed then.
    pub fn push(self, from: Scanning, options: &Options) -> Result<(Summary, Tree, Line), SyncError> {
        let shape = from.shape().clone();
        let first = match self.shape {
            None => {
                let hello = client::pushing(&self.remote, &shape, options);
                let rounds = options.named.is_none() && !options.dry_run;
                Message::Hello(Box::new(Hello { rounds, ..hello }))
            }
            Some(_) => Message::Again,
        };
        let Line { wire, remote, shape: _, before } = self;
        let (tree, sent) = match client::exchange_over(&wire, &first, from, options) {
            Ok(done) => done,
            Err(error) => {
                let failed: Result<Infallible, SyncError> = Err(error);
                // What has failed first is what is told.
                let _ = super::close(wire, &failed);
                let Err(error) = failed;
                return Err(error);
            }
        };
        let now = wire.stats.wire();
        let (sent_now, received) = (now.sent - before.sent, now.received - before.received);
        let used = net::Wire { sent: sent_now, received, ..now };
        let summary = client::told(sent, shape.clone(), tree.scan.snapshot.clone(), &tree.scan.errors, used);
        Ok((summary, tree, Line { wire, remote, shape: Some(shape), before: now }))
    }
}
