import { describe, expect, it } from 'vitest';

import { ApiError } from '../../src/core/host';
import { checkPayload } from '../../src/core/values/payload';
import { duration, fullTime, remaining, shortTime } from '../../src/core/times';
import {
  actionErrorMessage,
  currentStep,
  readErrorMessage,
  stripAnsi
} from '../../src/core/formatting';
import { makeError, makeRun, makeWaiting } from './fake-host';

describe('times', () => {
  it.each([
    [0, '0 ms'],
    [120, '120 ms'],
    [3200, '3.2 s'],
    [3000, '3 s'],
    [59_990, '1 min'],
    [310_000, '5 min 10 s'],
    [3_600_000, '1 h'],
    [97_200_000, '1 day 3 h'],
    [2 * 86_400_000 + 61_000, '2 days']
  ])('formats %d ms as %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  it.each([
    [1, '1 s'],
    [59_001, '1 min'],
    [-5, '0 s'],
    [61_000, '1 min 1 s']
  ])('formats %d remaining ms as %s', (ms, text) => {
    expect(remaining(ms)).toBe(text);
  });

  it('omits the day of a time of today, and returns an invalid time unchanged', () => {
    const now = new Date(2026, 10, 22, 18, 0);
    const today = new Date(2026, 10, 22, 14, 32).toISOString();
    const before = new Date(2025, 10, 21, 14, 32).toISOString();
    expect(shortTime(today, now)).toMatch(/^\d\d:32/);
    expect(shortTime(before, now)).toContain('2025');
    expect(shortTime('soon')).toBe('soon');
    expect(fullTime(today)).toContain('2026');
  });
});

describe('error messages', () => {
  it.each([
    [0, 'network', /does not answer/],
    [403, 'forbidden', /log in/],
    [404, 'not_found', /no longer exists/],
    [409, 'not_paused', /no longer paused/],
    [409, 'ended', /already ended/],
    [410, 'already_decided', /already ended\. By a link\./],
    [413, 'too_large', /too large/],
    [503, 'unavailable', /By a link/]
  ])('describe %d %s', (status, reason, pattern) => {
    expect(actionErrorMessage(new ApiError('By a link.', reason, status))).toMatch(pattern);
  });

  it('describe a failed read', () => {
    expect(readErrorMessage(new ApiError('x', 'network', 0))).toMatch(/does not answer/);
    expect(readErrorMessage(new Error('odd'))).toBe('odd');
    expect(readErrorMessage('odd')).toBe('odd');
    expect(readErrorMessage(new ApiError('', 'error', 500))).toMatch(/500/);
  });
});

describe('payload', () => {
  it('is null if the text is empty', () => {
    expect(checkPayload('  \n')).toEqual({ ok: true, value: null });
  });

  it('is the value of JSON', () => {
    expect(checkPayload('{"a": [1]}')).toEqual({ ok: true, value: { a: [1] } });
  });

  it.each([
    ["{'a': 1}", /double quotes/],
    ['{"a": True}', /true, false or null/],
    ['[1,]', /remove the comma/],
    ['yes please', /text in double quotes/],
    ['{"a":', /leave the field empty/]
  ])('has a hint for %s', (text, pattern) => {
    const checked = checkPayload(text);
    expect(checked.ok).toBe(false);
    expect(checked.ok || checked.message).toMatch(pattern);
  });
});

describe('the current step', () => {
  it('is the step that waits, failed, runs or is next', () => {
    expect(currentStep(makeWaiting('1'))).toBe('ask');
    expect(currentStep(makeRun('1', { error: makeError('pay') }))).toBe('pay');
    const steps = [{ name: 'a', status: 'succeeded' as const }, { name: 'b' }];
    expect(currentStep(makeRun('1', { status: 'queued', steps }))).toBe('b');
    const run = [...steps, { name: 'c', status: 'running' as const }];
    expect(currentStep(makeRun('1', { steps: run }))).toBe('c');
  });

  it('is the last executed step of a run that has ended', () => {
    const started_at = '2026-11-22T10:00:00Z';
    const steps = [{ name: 'a', started_at }, { name: 'b', started_at }, { name: 'c' }];
    expect(currentStep(makeRun('1', { status: 'succeeded', steps }))).toBe('b');
  });
});

it('removes ANSI escape sequences', () => {
  expect(stripAnsi('\u001b[0;31mKeyError\u001b[39;49m: \u001b]8;;x\u0007a\u001b]8;;\u0007')).toBe(
    'KeyError: a'
  );
});
