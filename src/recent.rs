use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// The ids of the last operations of a stream. Who came earlier is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    places: HashMap<Arc<str>, usize>,
    /// In request order.
    ids: VecDeque<(usize, Arc<str>)>,
}

impl Recent {
    /// Whether none of the last operations has this id.
    pub(crate) fn add(&mut self, id: &Arc<str>, index: usize) -> bool {
        if self.places.contains_key(id) {
            return false;
        }
        self.places.insert(Arc::clone(id), index);
        self.ids.push_back((index, Arc::clone(id)));
        true
    }

    /// Forgets all before this operation.
    pub(crate) fn forget(&mut self, before: usize) {
        while self.ids.front().is_some_and(|(index, _)| *index < before) {
            if let Some((_, id)) = self.ids.pop_front() {
                self.places.remove(&id);
            }
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    pub(crate) fn id(&self, index: usize) -> Option<&str> {
        let place = self.ids.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(&self.ids[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_free_again_when_it_is_forgotten() {
        let mut recent = Recent::default();
        assert!(recent.add(&"a".into(), 0) && recent.add(&"b".into(), 3));
        assert!(!recent.add(&"a".into(), 4));
        assert_eq!((recent.find("a"), recent.find("b"), recent.find("c")), (Some(0), Some(3), None));
        assert_eq!((recent.id(3), recent.id(1)), (Some("b"), None));
        recent.forget(3);
        assert_eq!((recent.find("a"), recent.id(0), recent.find("b")), (None, None, Some(3)));
        assert!(recent.add(&"a".into(), 5));
    }
}
