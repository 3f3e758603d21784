//! Circuits in lockstep: written as straight code, evaluated a layer at a time, those of several circuits in one
//! exchange.
//!
//! A circuit is a future that waits for its gates; the code that polls it collects the gates that all of them wait
//! for.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use super::{Bits, Compute, Host, Then, Tuning};
use crate::PartyId;
use crate::net::Abort;

/// The place where circuits put their gates.
pub(super) struct Gates {
    pub party: PartyId,
    pub tuning: Tuning,
    waiting: RefCell<Vec<Rc<Layer>>>,
}

/// A circuit's next gates, and their results.
struct Layer {
    left: Bits,
    right: Bits,
    then: Then,
    products: Cell<Option<Bits>>,
}

/// The products of a layer, when it has been evaluated.
pub(super) struct Products(Rc<Layer>);

impl Future for Products {
    type Output = Bits;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Bits> {
        self.0.products.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Gates {
    /// AND, bit by bit. `then` is the step that follows this layer in this circuit.
    pub fn and(&self, left: Bits, right: Bits, then: Then) -> Products {
        let layer = Rc::new(Layer { left, right, then, products: Cell::new(None) });
        self.waiting.borrow_mut().push(layer.clone());
        Products(layer)
    }
}

/// Two circuits at once.
pub(super) async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (first, second) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

impl<H: Host> Compute<'_, H> {
    /// Evaluates circuits, a layer of all of them in each exchange.
    pub(super) fn lockstep<T>(&mut self, circuits: impl AsyncFnOnce(&Gates) -> T) -> Result<T, Abort> {
        let gates = Gates { party: self.session.party(), tuning: self.tuning, waiting: RefCell::default() };
        let mut circuits = pin!(circuits(&gates));
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = circuits.as_mut().poll(&mut context) {
                return Ok(output);
            }
            let layers = gates.waiting.take();
            let last = layers.iter().all(|layer| layer.then == Then::Open);
            let then = if last { Then::Open } else { Then::More };
            if let [layer] = &layers[..] {
                layer.products.set(Some(self.layer(&layer.left, &layer.right, then)?));
                continue;
            }
            let left = Bits::concat(layers.iter().map(|layer| &layer.left));
            let right = Bits::concat(layers.iter().map(|layer| &layer.right));
            let products = self.layer(&left, &right, then)?;
            let mut at = 0;
            for layer in layers {
                let words = layer.left.words();
                layer.products.set(Some(products.slice(at, words)));
                at += words;
            }
        }
    }
}
