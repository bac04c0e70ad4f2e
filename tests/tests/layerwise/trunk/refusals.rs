//! Where a trunk cannot be kept it is not, and the run says why.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use peft_layerwise::{Every, Gradual, Head, Lisa, Matching, Side, TopLayers};
use peft_model::WithInput;
use peft_models::{BertConfig, BertForSequenceClassification, RopeScaling};
use peft_train::{Example, NextToken, SequenceClassification, TrunkRefusal, TrunkReport};

use super::models::{Mean, odd};
use super::{ALL, pair, steady};
use crate::fixture::filled;
use crate::layerwise::{bert, decoder, encoder, texts};
use crate::models::spread;
use crate::training::examples;

// The host decides it by states that it compares; on a device of shaders it is minutes of
// compiling.
peft_tests::cases!(on the cores: where_it_cannot_be_it_is_not);

fn where_it_cannot_be_it_is_not(device: &Device) {
    let rows = examples(10);
    let texts = texts(10);
    let make = || decoder(false, device);
    let auto = device.clone().autodiff();
    let refused = |trunks: &[(usize, TrunkReport)], reason| {
        assert_eq!(trunks, [(0, TrunkReport::NotKept(reason))]);
    };
    let stretched = || {
        let mut config = make().config().clone();
        config.rope.scaling = RopeScaling::Long {
            short: vec![1.0; 3],
            long: vec![2.0; 3],
            original_max_positions: 6,
            attention_factor: 1.0,
        };
        spread(&config, &auto)
    };
    let top = TopLayers::new(&stretched(), 1).expect("it fits");
    let found = pair(stretched, NextToken, &rows, &top, steady(3), &ALL);
    refused(&found.with.trunks, TrunkRefusal::Length);
    assert!(found.with.bits == found.without.bits);
    // Rows of one side of the change are rotated alike.
    let one_side: Vec<Example> = rows
        .iter()
        .filter(|row| row.ids.len() <= 6)
        .cloned()
        .collect();
    let found = pair(stretched, NextToken, &one_side, &top, steady(2), &ALL);
    found.assert_kept(2, one_side.len());

    let lisa = Lisa::new(&make(), 1, Every::Steps(2), 0).expect("it fits");
    let found = pair(make, NextToken, &rows, &lisa, steady(3), &ALL);
    refused(&found.with.trunks, TrunkRefusal::TrainsBelow);
    assert!(found.with.bits == found.without.bits);

    let short = Gradual::new(&make(), Side::Top, Every::Epochs(1)).expect("it fits");
    let found = pair(make, NextToken, &rows, &short, steady(3), &ALL);
    refused(&found.with.trunks[..1], TrunkRefusal::Short);
    assert!(found.with.bits == found.without.bits);

    let dropping = |hidden_dropout, classifier_dropout| {
        let config = BertConfig {
            hidden_dropout,
            classifier_dropout,
            ..bert()
        };
        let make = || filled(BertForSequenceClassification::new(&config, 3, &auto));
        let strategy = TopLayers::new(&make(), 1).expect("it fits");
        let objective = SequenceClassification::default();
        pair(make, objective, &texts, &strategy, steady(3), &ALL)
            .with
            .trunks
    };
    refused(&dropping(0.1, 0.0), TrunkRefusal::Dropout);
    assert_eq!(dropping(0.0, 0.1), [(0, TrunkReport::Kept { block: 2 })]);

    let make = || {
        let scale = Param::from_tensor(Tensor::full([1], 0.5, &auto));
        WithInput {
            model: encoder(device),
            input: Some(Mean { scale }),
        }
    };
    let strategy = TopLayers::new(&make(), 1).expect("it fits");
    let objective = SequenceClassification::default();
    let found = pair(make, objective, &texts, &strategy, steady(3), &ALL);
    found.assert_same();
    found.assert_kept(2, 10);
    let bare = || WithInput::<_, Mean>::new(encoder(device));
    let found = pair(bare, objective, &texts, &strategy, steady(3), &ALL);
    found.assert_same();
    found.assert_kept(2, 10);

    // The declared order says that what comes after the blocks acts after them; where it does not,
    // the graph shows it.
    let late = || odd(0.0, device);
    let strategy = Head::new(&late(), ["classifier"]).expect("a head");
    let found = pair(late, objective, &texts, &strategy, steady(3), &ALL);
    found.assert_kept(3, 10);
    let strategy = Matching::new(&late(), r".*classifier.*|shift");
    let found = pair(
        late,
        objective,
        &texts,
        &strategy.expect("it fits"),
        steady(3),
        &ALL,
    );
    refused(&found.with.trunks, TrunkRefusal::Tracked);
    assert!(found.with.bits == found.without.bits);
}
