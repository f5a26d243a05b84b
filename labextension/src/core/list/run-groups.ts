/** The groups in which runs are listed. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { button } from '../parts';
import type { RunList } from '../run-list';
import type { GroupName } from '../run-order';
import { byActivity, byDeadline, byEnd, groupOf } from '../run-order';
import type { RunCounts, RunItem, WorkflowCounts } from '../types';
import { countOf } from './choice';
import type { Group } from './row-list';
import { workflowHead } from './workflow-head';

/** How runs are grouped. */
export type Grouping = 'state' | 'workflow';

const TITLES: Record<GroupName, string> = {
  waiting: 'Waiting for a person',
  active: 'Active',
  ended: 'Ended'
};

/** Number of ended runs that are shown of each of several workflows. */
const MAX_ENDED = 3;

/** What groups are made of. */
export interface GroupSource {
  list: RunList;
  /** The number of runs that match the filter, or null until they were counted. */
  counts: RunCounts | null;
  /** List only the runs of a workflow. */
  onWorkflow: (id: string) => void;
}

/** Return the runs that wait for a person, that are active, and that have ended. */
export function groupsByState({ list }: GroupSource): Group[] {
  const { groups, more } = list;
  const names: GroupName[] = ['waiting', 'active', 'ended'];
  return names.map(key => {
    const label = TITLES[key];
    const runs = groups[key];
    const head = html`<h3 class="jp-PDFlow-group-head">${label}</h3>`;
    const foot = key !== 'waiting' && more[key] ? moreButton(list, key) : nothing;
    return { key, label, head: runs.length > 0 ? head : nothing, runs, foot };
  });
}

/** Return the runs of each workflow: those that wait, the active ones, and the last to end. */
export function groupsByWorkflow(source: GroupSource): Group[] {
  const { list } = source;
  const runs = new Map<string, RunItem[]>();
  for (const run of list.items) {
    runs.set(run.workflow_id, [...(runs.get(run.workflow_id) ?? []), run]);
  }
  const isSingle = list.filter.workflow !== '';
  return workflowsOf(source, runs).map(([id, name, counts]) => {
    const all = inOrder(runs.get(id) ?? []);
    const shown = isSingle ? all : withoutOlder(all);
    const total = counts === null ? all.length : countOf(counts, list.filter.status);
    const foot = isSingle ? moreButtons(list) : allButton(source, id, name, total - shown.length);
    return { key: id, label: name, head: workflowHead(name, counts), runs: shown, foot };
  });
}

type WorkflowEntry = [id: string, name: string, counts: WorkflowCounts | null];

/** Return the workflows with any runs: those that wait first, then by name. */
function workflowsOf({ list, counts }: GroupSource, runs: Map<string, RunItem[]>): WorkflowEntry[] {
  const entries = new Map<string, WorkflowEntry>();
  for (const each of counts?.workflows ?? []) {
    if (countOf(each, list.filter.status) > 0 || runs.has(each.id)) {
      entries.set(each.id, [each.id, each.name, each]);
    }
  }
  for (const [id, [{ workflow_name: name }]] of runs) {
    if (!entries.has(id)) {
      entries.set(id, [id, name, null]);
    }
  }
  const waits = ([id]: WorkflowEntry): number =>
    (runs.get(id) ?? []).filter(run => groupOf(run) === 'waiting').length;
  return [...entries.values()].sort(
    (one, other) =>
      Number(waits(other) > 0) - Number(waits(one) > 0) || one[1].localeCompare(other[1])
  );
}

/** Return runs in the order of the groups by state. */
function inOrder(runs: RunItem[]): RunItem[] {
  const of = (name: GroupName): RunItem[] => runs.filter(run => groupOf(run) === name);
  return [
    ...of('waiting').sort(byDeadline),
    ...of('active').sort(byActivity),
    ...of('ended').sort(byEnd)
  ];
}

function withoutOlder(runs: RunItem[]): RunItem[] {
  const open = runs.filter(run => groupOf(run) !== 'ended').length;
  return runs.slice(0, open + MAX_ENDED);
}

function moreButtons(list: RunList): unknown {
  const { active, ended } = list.more;
  return html`${active ? moreButton(list, 'active') : nothing}
  ${ended ? moreButton(list, 'ended') : nothing}`;
}

function moreButton(list: RunList, group: 'active' | 'ended'): TemplateResult {
  const label = group === 'active' ? 'Show more active runs' : 'Show more';
  return button(label, () => void list.loadMore(group), 'button more');
}

function allButton({ onWorkflow }: GroupSource, id: string, name: string, left: number): unknown {
  const label = html`${left.toLocaleString()} more<span class="jp-PDFlow-unseen">
      of ${name}</span
    >`;
  return left > 0 ? button(label, () => onWorkflow(id), 'link all') : nothing;
}
