//! Replay, order of completions, and what a run that leaves its history gets.
