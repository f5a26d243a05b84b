import { describe, expect, it } from 'vitest';
import type { Deployment, Workflow } from '../../src/core/types';
import { runOffer } from '../../src/plugin/run-offer';
import { NO_EDITS, type Edits } from '../../src/plugin/step-code';
import { toolbarState, type WorkflowFacts } from '../../src/plugin/toolbar-state';

const WORKFLOW: Workflow = {
  id: 'order',
  name: 'order',
  version: 'a1b2c3',
  number: 3,
  path: 'order.ipynb',
  steps: ['ask'],
  created_at: '2026-11-28T03:00:00Z'
};
const EDITS: Edits = { ...NO_EDITS, cells: new Map([['2', { name: 'ask', kind: 'edited' }]]) };

function deployment(changes: Partial<Deployment> = {}): Deployment {
  const found = { path: 'order.ipynb', workflow: WORKFLOW, version: 'a1b2c3', edited: false };
  return { ...found, problem: null, ...changes };
}

function facts(changes: Partial<WorkflowFacts> = {}): WorkflowFacts {
  return {
    mode: 'test',
    hasSteps: true,
    deployment: deployment(),
    isEdited: false,
    edits: NO_EDITS,
    isBusy: false,
    ...changes
  };
}

describe('toolbarState', () => {
  it('shows the version, with the hash as its title', () => {
    expect(toolbarState(facts())).toMatchObject({
      control: 'switch',
      mode: 'test',
      version: 'v3',
      versionTitle: 'Version a1b2c3',
      note: 'up to date',
      hasDeploy: true,
      isPending: false
    });
  });

  it('keeps the version while the kernel restarts', () => {
    const state = toolbarState(facts({ mode: undefined }));
    expect(state).toMatchObject({ control: 'switch', mode: null, version: 'v3' });
  });

  it('says what was edited', () => {
    const state = toolbarState(facts({ isEdited: true, edits: EDITS }));
    expect(state).toMatchObject({ note: 'edited since', isPending: true });
    expect(state.noteTitle).toContain('Edited since v3: step ask.');
  });

  it('says what else may differ if the code does not', () => {
    const { noteTitle } = toolbarState(facts({ isEdited: true }));
    expect(noteTitle).toContain('Edited since v3: a local module or the kernel.');
  });

  it('says that it is not deployed, and why it could not be', () => {
    const problem = 'Two cells are named step ask.';
    const state = toolbarState(facts({ deployment: deployment({ workflow: null, problem }) }));
    expect(state).toMatchObject({ version: '', note: 'not deployed', isPending: true });
    expect(state.noteTitle).toContain(problem);
  });

  it('offers to load the extension where there are steps', () => {
    expect(toolbarState(facts({ mode: null })).control).toBe('load');
    const other = facts({ mode: null, hasSteps: false, deployment: null });
    expect(toolbarState(other)).toMatchObject({ control: 'none', hasDeploy: false });
  });

  it('shows the switch alone in a notebook without steps', () => {
    const state = toolbarState(facts({ hasSteps: false, deployment: null }));
    expect(state).toMatchObject({ control: 'switch', hasDeploy: false, note: '' });
  });

  it('says nothing about a deployment that is not known', () => {
    const state = toolbarState(facts({ deployment: null }));
    expect(state).toMatchObject({ version: '', note: '', hasDeploy: true, isPending: false });
  });
});

describe('runOffer', () => {
  it('runs the version if the notebook is the same', () => {
    const { note, actions } = runOffer(facts());
    expect(note).toBe('');
    expect(actions.map(({ label }) => label)).toEqual(['Run v3']);
    expect(actions[0].workflow).toBe('order');
  });

  it('offers both if the notebook was edited; deploying is the default', () => {
    const { note, actions } = runOffer(facts({ isEdited: true, edits: EDITS }));
    expect(note).toBe('Edited since v3: step ask.');
    expect(actions.map(({ label }) => label)).toEqual(['Run v3', 'Deploy and run']);
    expect(actions[1].workflow).toBeNull();
  });

  it('deploys first if nothing is deployed', () => {
    const { actions } = runOffer(facts({ deployment: deployment({ workflow: null }) }));
    expect(actions.map(({ label }) => label)).toEqual(['Deploy and run']);
  });
});
