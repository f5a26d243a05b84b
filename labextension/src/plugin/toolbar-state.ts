/** What the toolbar of a notebook says about its workflow, from what is known. */
import type { Deployment } from '../core/types';
import type { Mode } from './kernel-mode';
import { describeEdits, type Edits } from './step-code';

/** What is known about an open notebook. */
export interface WorkflowFacts {
  /** The mode; null if the kernel has not loaded the extension, undefined if it is not known. */
  mode: Mode | undefined;
  hasSteps: boolean;
  /** What the server knows, or null if it was not read. */
  deployment: Deployment | null;
  isEdited: boolean;
  edits: Edits;
  isBusy: boolean;
}

/** What the toolbar shows. */
export interface ToolbarState {
  /** The switch Test | Production, or the button that loads the extension, or neither. */
  control: 'load' | 'none' | 'switch';
  /** The button of the switch that is pressed; null while the kernel has not told its mode. */
  mode: Mode;
  /** Such as `v3`; empty if the notebook is not deployed. */
  version: string;
  versionTitle: string;
  note: '' | 'edited since' | 'not deployed' | 'up to date';
  noteTitle: string;
  hasDeploy: boolean;
  /** Whether there is something to deploy. */
  isPending: boolean;
  isBusy: boolean;
}

/** Return what the toolbar shows. */
export function toolbarState(facts: WorkflowFacts): ToolbarState {
  const { mode, hasSteps, deployment, isBusy } = facts;
  const workflow = deployment?.workflow ?? null;
  const isShown = hasSteps || (workflow !== null && Boolean(mode));
  const note = isShown ? noteOf(facts) : '';
  return {
    control: mode ? 'switch' : !hasSteps ? 'none' : mode === null ? 'load' : 'switch',
    mode: mode ?? null,
    version: isShown && workflow ? versionLabel(workflow) : '',
    versionTitle: workflow ? `Version ${workflow.version}` : '',
    note,
    noteTitle: noteTitle(note, facts),
    hasDeploy: isShown,
    isPending: note === 'edited since' || note === 'not deployed',
    isBusy
  };
}

/** Return a version as people call it, such as `v3`. */
export function versionLabel({ number, version }: { number?: number; version: string }): string {
  return number === undefined ? version : `v${number}`;
}

/** Return what a step cell says that differs from the deployed version. */
export function markText(kind: 'edited' | 'new', version: string): string {
  return kind === 'edited' ? `edited since ${version}` : `not in ${version}`;
}

/** Return the explanation of {@link markText}. */
export function markTitle(kind: 'edited' | 'new', version: string): string {
  return kind === 'edited'
    ? `The code of this step differs from ${version}, which runs use until you deploy again.`
    : `Runs use ${version}, which does not have this step. Deploy the notebook to add it.`;
}

/** Return which code differs, as a sentence. */
export function editedSentence(facts: Pick<WorkflowFacts, 'deployment' | 'edits'>): string {
  const workflow = facts.deployment?.workflow;
  const what = describeEdits(facts.edits) || 'a local module or the kernel';
  return workflow ? `Edited since ${versionLabel(workflow)}: ${what}.` : '';
}

function noteOf({ deployment, isEdited }: WorkflowFacts): ToolbarState['note'] {
  if (!deployment) {
    return '';
  }
  if (!deployment.workflow) {
    return 'not deployed';
  }
  return isEdited ? 'edited since' : 'up to date';
}

function noteTitle(note: ToolbarState['note'], facts: WorkflowFacts): string {
  const problem = facts.deployment?.problem;
  const problems = problem ? `\nAs saved, it can't be deployed. ${problem}` : '';
  switch (note) {
    case 'edited since':
      return `${editedSentence(facts)} Runs use the deployed version.${problems}`;
    case 'not deployed':
      return `There is no version yet that runs could use.${problems}`;
    case 'up to date':
      return 'Runs use the code that you see.';
    case '':
      return '';
  }
}
