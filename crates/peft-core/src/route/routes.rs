//! [`Routes`]: which adapter each row of a batch goes through.

use burn::tensor::kind::Basic;
use burn::tensor::{Device, Int, Tensor};

/// The adapters of a batch's rows, as groups of rows that share one.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    /// The adapter of each group, none for the base, and how many rows it has.
    groups: Vec<(Option<String>, usize)>,
    /// The row at each place once rows of a group lie together, and the place of each row; none
    /// where they lie so already.
    sorting: Option<[Tensor<1, Int>; 2]>,
    /// The group of each row, `[rows]`.
    group: Tensor<1, Int>,
}

impl Routes {
    pub(crate) fn new(rows: &[Option<&str>], device: &Device) -> Self {
        let mut names: Vec<Option<&str>> = Vec::new();
        let group: Vec<usize> = rows
            .iter()
            .map(|row| {
                let known = names.iter().position(|name| name == row);
                known.unwrap_or_else(|| {
                    names.push(*row);
                    names.len() - 1
                })
            })
            .collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| group[*row]); // stable: rows of a group keep their order
        let mut place = vec![0; rows.len()];
        for (at, row) in order.iter().enumerate() {
            place[*row] = at;
        }
        let count = |at| group.iter().filter(|group| **group == at).count();
        let groups = names.iter().enumerate();
        Self {
            groups: groups
                .map(|(at, name)| (name.map(str::to_owned), count(at)))
                .collect(),
            sorting: (!order.is_sorted()).then(|| [order, place].map(|rows| indices(rows, device))),
            group: indices(group, device),
        }
    }

    pub(crate) fn to_device(&self, device: &Device) -> Self {
        let moved = |tensor: &Tensor<1, Int>| tensor.clone().to_device(device);
        Self {
            groups: self.groups.clone(),
            sorting: self
                .sorting
                .as_ref()
                .map(|sorting| sorting.each_ref().map(moved)),
            group: moved(&self.group),
        }
    }

    /// The adapter of each group, none for the base, and how many rows it has.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Option<&str>, usize)> {
        let groups = self.groups.iter();
        groups.map(|(name, rows)| (name.as_deref(), *rows))
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.groups.iter().map(|(_, rows)| rows).sum()
    }

    /// Refuse a batch whose first axis has `found` elements.
    ///
    /// # Panics
    ///
    /// If that is not the number of rows.
    pub(crate) fn check_rows(&self, found: usize) {
        let rows = self.rows();
        assert_eq!(
            found, rows,
            "adapters were chosen for {rows} rows, and a layer was given {found}; its first axis must be that of the rows"
        );
    }

    /// The rows with those of a group together, groups in their order.
    pub(crate) fn together<const D: usize, K: Basic>(&self, x: Tensor<D, K>) -> Tensor<D, K> {
        match &self.sorting {
            Some([order, _]) => x.select(0, order.clone()),
            None => x,
        }
    }

    /// The inverse of [`together`](Self::together), of the groups one by one.
    pub(crate) fn apart<const D: usize, K: Basic>(
        &self,
        groups: Vec<Tensor<D, K>>,
    ) -> Tensor<D, K> {
        let x = Tensor::cat(groups, 0);
        match &self.sorting {
            Some([_, place]) => x.select(0, place.clone()),
            None => x,
        }
    }

    /// The value of each row's group, `[groups, width]` to `[rows, width]`.
    pub(crate) fn by_row(&self, of_groups: Tensor<2>) -> Tensor<2> {
        of_groups.select(0, self.group.clone())
    }
}

fn indices(values: Vec<usize>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.into_iter().map(|value| value as i64).collect();
    Tensor::from_data(values.as_slice(), device)
}
