//! Where the compiled guests are: a constant for each folder in `guests/`.

include!(concat!(env!("OUT_DIR"), "/guests.rs"));
