//! `peft doctor`.

mod common;

use serde_json::Value;

use self::common::Place;
use self::common::models::refused;

#[test]
fn this_machine_is_told_and_its_devices_are_right() {
    let place = Place::new();
    let text = place.runs(&["doctor"]);
    for part in ["processor", "products", "✓", "slope"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let found: Value = serde_json::from_str(&place.runs(&["doctor", "--json"])).expect("JSON");
    let devices = found["devices"].as_array().expect("devices");
    assert!(!devices.is_empty());
    for device in devices {
        assert_eq!(device["right"], true, "{device}");
    }
    assert!(found["machine"]["multiply_adds_a_second"][0].as_f64() > Some(0.0));
    refused(&place, "doctor --device abacus", "no device `abacus`");
}
