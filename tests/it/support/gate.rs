//! A TCP forwarder in front of a server: closing it cuts us off while others still reach the server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A gate on a loopback port.
pub struct Gate {
    pub port: u16,
    open: Arc<AtomicBool>,
    cut: watch::Sender<()>,
}

impl Gate {
    /// Forwards to a port. Needs a tokio runtime.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let (open, (cut, seen)) = (Arc::new(AtomicBool::new(true)), watch::channel(()));
        let state = open.clone();
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let (state, mut seen) = (state.clone(), seen.clone());
                seen.mark_unchanged();
                tokio::spawn(async move {
                    if !state.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                        _ = seen.changed() => {}
                    }
                });
            }
        });
        Self { port: own, open, cut }
    }

    /// Breaks every connection and lets none through.
    pub fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.cut.send_replace(());
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}
