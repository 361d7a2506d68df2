//! Starting processes from a thread that lives as long as lossproof does.
//!
//! PDEATHSIG is sent when the *thread* that started a process ends, not its process: a client started
//! from one of Tokio's blocking threads would be killed when that thread is retired.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Order {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// Starts `command`. Its exit is watched by the runtime that this is called in.
pub(super) async fn spawn(command: Command) -> io::Result<Child> {
    let (answer, answered) = oneshot::channel();
    let order = Order { command, runtime: Handle::current(), answer };
    // An order or an answer is only lost if the thread panicked.
    let gone = || io::Error::other("the thread that starts processes is gone");
    orders()?.send(order).map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}

fn orders() -> io::Result<Sender<Order>> {
    static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    if let Some(orders) = ORDERS.get() {
        return Ok(clone(orders));
    }
    let (orders, received) = channel::<Order>();
    std::thread::Builder::new().name("spawner".into()).spawn(move || {
        for mut order in received {
            let _runtime = order.runtime.enter();
            // Whoever no longer waits has dropped the answer, and the child is killed on drop.
            let _ = order.answer.send(order.command.spawn());
        }
    })?;
    // Two at once: the second's thread ends at once, as nothing is sent to it.
    Ok(clone(ORDERS.get_or_init(|| Mutex::new(orders))))
}

fn clone(orders: &Mutex<Sender<Order>>) -> Sender<Order> {
    orders.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
