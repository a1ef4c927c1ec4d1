import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { Alarm } from './alarm.ts';

function start() {
  const clock = new FakeClock();
  const rung: number[] = [];
  return { clock, rung, alarm: new Alarm(clock, () => rung.push(clock.nowMs())) };
}

describe('an alarm', () => {
  it('rings once, at the last time that was set', async () => {
    const { clock, rung, alarm } = start();
    alarm.set(100);
    alarm.set(300);
    alarm.set(200);
    for (let step = 0; step < 50; step++) await clock.advance(10);
    expect(rung).toEqual([200]);
  });

  it('needs no timer when it is moved to a later time', () => {
    const { clock, alarm } = start();
    alarm.set(100);
    for (let atMs = 100; atMs < 10_000; atMs++) alarm.set(atMs);
    expect(clock.waiting).toBe(1);
  });

  it('does not ring when it is cleared, and can be set again', async () => {
    const { clock, rung, alarm } = start();
    alarm.set(100);
    alarm.clear();
    await clock.advance(200);
    expect({ rung, timers: clock.waiting }).toEqual({ rung: [], timers: 0 });
    alarm.set(300);
    await clock.advance(100);
    expect(rung).toEqual([300]);
  });

  it('does not ring while it is set to never', async () => {
    const { clock, rung, alarm } = start();
    alarm.set(100);
    alarm.set(Number.POSITIVE_INFINITY);
    await clock.advance(1_000);
    expect({ rung, timers: clock.waiting }).toEqual({ rung: [], timers: 0 });
  });
});
