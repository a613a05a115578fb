//! What is said at the end.

use std::{process::ExitCode, time::Duration};

use indicatif::HumanCount;

use crate::{
    exchange::Fault,
    import::{Input, State},
    progress::rate,
};

/// The exit code of a batch that was refused, or not carried to its end.
pub(crate) const INCOMPLETE: u8 = 2;

/// What the import has come to. An error is what is said where nothing has.
pub(crate) fn print(state: &mut State, ended: Result<(), Fault>, elapsed: Duration) -> Result<ExitCode, String> {
    if let Err(fault @ Fault::Refused(_)) = ended {
        return Err(format!("{fault}\nnothing was imported"));
    }
    state.finish()?;
    let State { ledger, tally, input, .. } = state;
    let known = tally.known();
    println!(
        "{} rows in {:.1} s, {} a second",
        HumanCount(known),
        elapsed.as_secs_f64(),
        HumanCount(rate(known, elapsed))
    );
    println!("{tally}");

    let mut is_whole = true;
    if let Err(fault) = ended {
        is_whole = false;
        eprintln!("{fault}");
    }
    if let Some(first) = ledger.rest().next() {
        let (count, first, last) = (HumanCount(ledger.unanswered() as u64), first.line, ledger.last_line());
        eprintln!("not known: whether {count} rows between line {first} and line {last} were imported");
        eprintln!("`--from {first}` imports again from there; what is there already is told by a 409");
    }
    let behind = match ledger.last_line() {
        0 => String::new(),
        last => format!(" behind line {last}"),
    };
    match input {
        Input::Whole => {}
        Input::Open | Input::Stopped => eprintln!("not sent: any row{behind}"),
        Input::Failed(why) => eprintln!("not sent: any row{behind}, for {why}"),
    }
    Ok(match (is_whole && *input == Input::Whole, tally.failures()) {
        (false, _) => ExitCode::from(INCOMPLETE),
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::FAILURE,
    })
}
