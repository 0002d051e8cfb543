//! A namespace's name → a TUN device in it, as a file of packets.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::thread;

use rustix::ioctl::{self, Setter, opcode};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// `IFF_TUN | IFF_NO_PI`: IP packets, nothing before them.
const FLAGS: u16 = 0x1001;
/// `TUNSETIFF`.
const TUNSETIFF: ioctl::Opcode = opcode::write::<i32>(b'T', 202);

/// The kernel's `struct ifreq`, of which this call reads a name and flags.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    unused: [u8; 22],
}

/// Makes `device` in the namespace `netns`. It is there as long as the file is open.
pub(crate) fn open(netns: &str, device: &str) -> io::Result<File> {
    let (path, device) = (format!("/run/netns/{netns}"), device.to_owned());
    // A thread is in one namespace: one that ends leaves this process where it was.
    let thread = thread::spawn(move || {
        let namespace = OpenOptions::new().read(true).open(path)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
        attach(&tun, &device)?;
        Ok(tun)
    });
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
}

#[expect(unsafe_code, reason = "no safe wrapper of this ioctl is among the dependencies")]
fn attach(tun: &File, device: &str) -> io::Result<()> {
    let mut request = Request { name: [0; 16], flags: FLAGS, unused: [0; 22] };
    // The last byte stays zero.
    for (to, from) in request.name[..15].iter_mut().zip(device.bytes()) {
        *to = from;
    }
    // SAFETY: TUNSETIFF reads one `struct ifreq` (40 bytes), which `Request` is laid out as.
    unsafe { ioctl::ioctl(tun, Setter::<TUNSETIFF, Request>::new(request))? };
    Ok(())
}
