//! What a service manager hands to a daemon and hears from it, by systemd's conventions: a socket that is bound
//! already (`LISTEN_FDS`), and word of what the daemon is doing (`NOTIFY_SOCKET`). Without a manager nothing happens.

use std::ffi::OsStr;
use std::io;
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use listenfd::ListenFd;

use crate::cli::error::Usage;

/// The UDP socket that this process was started with, if it was.
pub(super) fn socket() -> anyhow::Result<Option<UdpSocket>> {
    let mut given = ListenFd::from_env();
    match given.len() {
        0 => Ok(None),
        1 => {
            let wrong = |error| Usage::new(format!("the socket of LISTEN_FDS is of no use: {error}"));
            let socket = given.take_udp_socket(0).map_err(wrong)?;
            let hint = "one ListenDatagram= for each instance; [::]:4873 has both families";
            let none = || Usage::new("the socket of LISTEN_FDS was taken before").hint(hint);
            Ok(Some(socket.ok_or_else(none)?))
        }
        count => Err(Usage::new(format!("{count} sockets in LISTEN_FDS, where one is served"))
            .hint("one ListenDatagram= for each instance; [::]:4873 has both families")
            .into()),
    }
}

/// Tells the manager a state such as `READY=1`. That nobody listens is no failure of this process.
pub(super) fn tell(state: &str) {
    if let Some(name) = std::env::var_os("NOTIFY_SOCKET") {
        let _ = send(&name, state);
    }
}

fn send(name: &OsStr, state: &str) -> io::Result<()> {
    let addr = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &addr).map(drop)
}
