/** Resumes or cancels several runs, and says what came of it. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { actionErrorMessage, formatCount } from '../formatting';
import type { Host } from '../host';
import { ApiError } from '../host';
import { isCounted } from '../run/decisions';
import type { Run, RunItem } from '../types';

/** What can be done to several runs. */
export type ActionName = 'cancel' | 'resume';

/** What an action has done to several runs. */
export interface Outcome {
  done: number;
  /** Number of runs that have counted an approval, and wait for more. */
  counted: number;
  failures: [RunItem, string][];
}

/** An action for several runs. */
export interface BulkAction {
  host: Host;
  action: ActionName;
  runs: readonly RunItem[];
  /** The data that each run gets, or the reason for which it is canceled. */
  value: unknown;
  /** Called with each run that an action has returned. */
  onRun: (run: Run) => void;
}

/** Maximum number of requests at the same time. */
const CONCURRENCY = 4;

/** Perform an action, a few runs at a time. */
export async function actOnAll(bulk: BulkAction): Promise<Outcome> {
  const queue = [...bulk.runs];
  const outcome: Outcome = { done: 0, counted: 0, failures: [] };
  const work = async (): Promise<void> => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
      try {
        const updated = await actOn(run, bulk);
        outcome[isCounted(run, updated) ? 'counted' : 'done'] += 1;
        bulk.onRun(updated);
      } catch (error) {
        outcome.failures.push([run, refusalText(error)]);
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return outcome;
}

function actOn({ id, pause }: RunItem, { host, action, value }: BulkAction): Promise<Run> {
  return action === 'resume'
    ? host.resume(id, value, null, pause?.since)
    : host.cancel(id, value as string | null);
}

/** Return what an action has done, and which runs have refused it. */
export function outcomeNode(
  action: ActionName,
  { done, counted, failures }: Outcome
): TemplateResult {
  const summary = `${formatCount(done, 'run')} ${action === 'resume' ? 'resumed' : 'canceled'}.`;
  const more = ` ${formatCount(counted, 'approval')} counted; more have to approve.`;
  return html`<p>${counted > 0 ? summary + more : summary}</p>
    ${failures.length === 0 ? nothing : failureList(failures)}`;
}

function failureList(failures: Outcome['failures']): TemplateResult {
  return html`<p>${`Failed for ${formatCount(failures.length, 'run')}:`}</p>
    <ul>
      ${failures.map(([run, message]) => {
        return html`<li>${`${run.title ?? run.workflow_name}, run ${run.id}: ${message}`}</li>`;
      })}
    </ul>`;
}

/** Return why a run has refused an action, with what is wrong with the fields of an answer. */
function refusalText(error: unknown): string {
  const errors = error instanceof ApiError ? error.errors : [];
  const fields = errors.map(({ field, message }) =>
    field === '' ? message : `${field}: ${message}`
  );
  return [actionErrorMessage(error), ...fields].join(' ');
}
