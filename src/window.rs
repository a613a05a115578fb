use std::{
    collections::VecDeque,
    ops::{Index, IndexMut},
};

/// A part of a list that only grows at its end and is only forgotten from its beginning. An item goes by its place in
/// the whole list, whatever has been forgotten.
#[derive(Debug)]
pub(crate) struct Window<T> {
    /// How many have been forgotten.
    start: usize,
    items: VecDeque<T>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

/// Of all of a list; without a copy.
impl<T> From<Vec<T>> for Window<T> {
    fn from(items: Vec<T>) -> Self {
        Self { start: 0, items: items.into() }
    }
}

impl<T> Window<T> {
    /// Of what stands from this place on.
    pub(crate) fn from_place(start: usize, items: impl Iterator<Item = T>) -> Self {
        Self { start, items: items.collect() }
    }

    /// The place of the first item that is not forgotten.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The place that the next item will have.
    pub(crate) fn end(&self) -> usize {
        self.start + self.items.len()
    }

    /// How many are not forgotten.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.items.get(place.wrapping_sub(self.start))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.items.get_mut(place.wrapping_sub(self.start))
    }

    pub(crate) fn push(&mut self, item: T) {
        self.items.push_back(item);
    }

    /// Forgets the first item.
    pub(crate) fn forget(&mut self) -> Option<T> {
        let first = self.items.pop_front()?;
        self.start += 1;
        Some(first)
    }

    /// Forgets the first items, as long as there are more than so many.
    pub(crate) fn keep(&mut self, items: usize) {
        while self.len() > items {
            self.forget();
        }
    }
}

/// Panics where the place is forgotten, or not there yet.
impl<T> Index<usize> for Window<T> {
    type Output = T;

    #[inline]
    fn index(&self, place: usize) -> &T {
        &self.items[place - self.start]
    }
}

impl<T> IndexMut<usize> for Window<T> {
    #[inline]
    fn index_mut(&mut self, place: usize) -> &mut T {
        &mut self.items[place - self.start]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_what_they_are() {
        let mut window = Window::from(vec!['a', 'b']);
        window.push('c');
        assert_eq!(window.forget(), Some('a'));
        assert_eq!((window.start(), window.end(), window.len()), (1, 3, 2));
        assert_eq!((window.get(0), window[1], window[2], window.get(3)), (None, 'b', 'c', None));
        window.push('d');
        window[3] = 'D';
        window.keep(1);
        assert_eq!((window.get(2), window.get(3), window.end()), (None, Some(&'D'), 4));
        assert_eq!((window.forget(), window.forget(), window.end()), (Some('D'), None, 4));
    }
}
