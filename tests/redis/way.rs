//! A way to Redis that does not do what it should.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::engine::Engine;

/// A way to Redis that can be broken, or hold what is on it.
pub struct Way {
    pub port: u16,
    open: Arc<Mutex<(bool, Vec<TcpStream>)>>,
    /// Connections from before that number are held.
    held: Arc<(Mutex<usize>, Condvar)>,
    count: Arc<AtomicUsize>,
    /// What has this in it does not get through; nothing if it is empty.
    swallowed: Arc<Mutex<String>>,
}

impl Way {
    pub fn to(engine: &Engine) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new((true, Vec::new())));
        let (goes_to, streams) = (engine.port, Arc::clone(&open));
        let (held, count) = (Arc::<(Mutex<usize>, Condvar)>::default(), Arc::default());
        let (holds, counts) = (Arc::clone(&held), Arc::clone(&count));
        let swallowed = Arc::<Mutex<String>>::default();
        let swallows = Arc::clone(&swallowed);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let mut open = streams.lock().unwrap();
                let Ok(redis) = TcpStream::connect(("127.0.0.1", goes_to)) else { continue };
                if !open.0 {
                    continue;
                }
                let number = AtomicUsize::fetch_add(&counts, 1, Ordering::SeqCst);
                for (from, to, number) in [(&client, &redis, number), (&redis, &client, usize::MAX)]
                {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let held = Arc::clone(&holds);
                    let wait = move || {
                        let (before, released) = &*held;
                        let is_held = |before: &mut usize| number < *before;
                        drop(released.wait_while(before.lock().unwrap(), is_held).unwrap());
                    };
                    let swallows = Arc::clone(&swallows);
                    let goes = move |piece: &[u8]| {
                        wait();
                        let what = swallows.lock().unwrap();
                        what.is_empty() || !String::from_utf8_lossy(piece).contains(&*what)
                    };
                    thread::spawn(move || pass_on(from, to, goes));
                }
                open.1.extend([client, redis]);
            }
        });
        Way { port, open, held, count, swallowed }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().1.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Holds what goes to Redis on the connections that there are, also when they are closed.
    pub fn hold(&self) {
        *self.held.0.lock().unwrap() = self.count.load(Ordering::SeqCst);
    }

    /// Lets nothing through that has this in it.
    pub fn swallow(&self, what: &str) {
        *self.swallowed.lock().unwrap() = what.to_owned();
    }

    /// Lets it go on.
    pub fn release(&self) {
        *self.held.0.lock().unwrap() = 0;
        self.held.1.notify_all();
    }

    /// Lets new ones through, or does not.
    pub fn set_open(&self, is_open: bool) {
        self.open.lock().unwrap().0 = is_open;
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, goes: impl Fn(&[u8]) -> bool) {
    let mut piece = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if goes(&piece[..count]) && to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
