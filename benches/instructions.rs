//! One scenario a run, for counting its instructions from outside: `instructions SCENARIO OPERATIONS TIMES`.
//! `benches/instructions.sh` does that.

mod workload;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(scenario), Some(n), Some(times)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return println!("instructions SCENARIO OPERATIONS TIMES, where SCENARIO is one of {:?}", workload::SCENARIOS);
    };
    let number = |text: String| text.parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    runtime.block_on(workload::run(&scenario, number(n), number(times)));
}
