//! Members that look for gaps in sequence numbers.

use lossproof_ledger::gaps::{Alarm, FOLDER};
use lossproof_ledger::payload;
use lossproof_ledger::reconcile::StreamId;
use lossproof_ledger::record::Identity;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_member_raises_an_alarm_where_a_number_is_missing() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let producer = stranger(&run.bootstrap);
    // 3 and 4 are missing, 8 comes late, and 6 twice.
    let sequences = [0, 1, 2, 5, 6, 7, 9, 6, 8, 10];
    for sequence in sequences {
        let identity = Identity { run: RUN, producer: 5, incarnation: 0, partition: 0, sequence, attempt: 0 };
        let mut bytes = [0; 100];
        payload::encode_into(&mut bytes, &identity);
        producer.send(BaseRecord::<(), [u8]>::to(TOPIC).partition(0).payload(&bytes)).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();

    for detect_gaps in [true, false] {
        let mut spec = run.handler(Handling { detect_gaps, ..Handling::default() }, &[]);
        spec.id.member = u16::from(!detect_gaps);
        let Behaviour::Consumer(consuming) = &mut spec.behaviour else { unreachable!() };
        consuming.group = format!("g-{detect_gaps}");
        let (process, _events) = run.start(&spec).await;
        until(&process, |now, _, _| processed(now) == sequences.len() as u64).await;
        process.drain(Duration::from_secs(10)).await.unwrap();
        assert!(process.ended(soon()).await.expected, "{}", run.log(&spec));
        let path = run.dir.path().join(FOLDER).join(format!("{}.jsonl", spec.name()));
        if !detect_gaps {
            assert!(!path.exists());
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let alarms: Vec<Alarm> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let stream = StreamId { producer: 5, partition: 0 };
        let gap = |first, last| Alarm::Gap { stream, first, last };
        assert_eq!(alarms, [gap(3, 4), gap(8, 8), Alarm::Late { stream, sequence: 8 }]);
    }
}
