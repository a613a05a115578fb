use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs the service's code; `None` if it panics. Nothing that a panic may have left half done is looked at again: what
/// belongs to the operation is dropped, and its outcome is a 500.
#[inline]
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(bury).ok()
}

/// What a panic carries may itself panic when it is dropped.
fn bury(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_panic_is_caught_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::panic_any("again");
            }
        }
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(caught(|| std::panic::panic_any(Bomb)), None::<()>);
    }
}
