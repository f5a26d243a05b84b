import { beforeEach, describe, expect, it, vi } from 'vitest';
import { DeployState } from '../../src/plugin/deploy-state';
import { ModeSwitch } from '../../src/plugin/mode-switch';
import type { ToolbarPart } from '../../src/plugin/toolbar-part';
import type { ToolbarState } from '../../src/plugin/toolbar-state';

const STATE: ToolbarState = {
  control: 'switch',
  mode: 'test',
  version: 'v3',
  versionTitle: 'Version a1b2c3',
  note: 'edited since',
  noteTitle: 'Edited since v3: step ask.',
  hasDeploy: true,
  isPending: true,
  isBusy: false
};
const actions = { choose: vi.fn(), load: vi.fn(), deploy: vi.fn() };

function drawn<T extends ToolbarPart>(widget: T, changes: Partial<ToolbarState> = {}): T {
  document.body.replaceChildren(widget.node);
  widget.draw({ ...STATE, ...changes });
  return widget;
}

function makeSwitch(changes: Partial<ToolbarState> = {}): ModeSwitch {
  return drawn(new ModeSwitch(actions.choose, actions.load), changes);
}

function makeState(changes: Partial<ToolbarState> = {}): DeployState {
  return drawn(new DeployState(actions.deploy), changes);
}

function button(widget: ToolbarPart, name: string): HTMLButtonElement {
  const found = [...widget.node.querySelectorAll('button')];
  const match = found.find(each => each.textContent.trim() === name);
  expect(match).toBeDefined();
  return match as HTMLButtonElement;
}

function visibleText(widget: ToolbarPart): string {
  const copy = widget.node.cloneNode(true) as HTMLElement;
  copy.querySelectorAll('[aria-hidden="true"]').forEach(each => each.remove());
  return copy.textContent.replace(/\s+/g, ' ').trim();
}

beforeEach(() => vi.clearAllMocks());

describe('ModeSwitch', () => {
  it('is hidden until there is something to show', () => {
    const widget = new ModeSwitch(actions.choose, actions.load);
    expect(widget.isHidden).toBe(true);
    widget.draw({ ...STATE, control: 'none' });
    expect(widget.isHidden).toBe(true);
    widget.draw(STATE);
    expect(widget.isHidden).toBe(false);
    expect(visibleText(widget)).toBe('Test Production');
  });

  it('shows the mode, and calls back for either', () => {
    const widget = makeSwitch();
    expect(button(widget, 'Test').getAttribute('aria-pressed')).toBe('true');
    expect(button(widget, 'Production').getAttribute('aria-pressed')).toBe('false');
    button(widget, 'Production').click();
    button(widget, 'Test').click();
    expect(actions.choose.mock.calls).toEqual([['production'], ['test']]);
  });

  it('chooses nothing while the mode is not known', () => {
    const widget = makeSwitch({ mode: null });
    button(widget, 'Production').click();
    expect(actions.choose).not.toHaveBeenCalled();
  });

  it('loads the extension, and then moves the focus to the switch', () => {
    const widget = makeSwitch({ control: 'load', mode: null });
    button(widget, 'Load workflows').focus();
    button(widget, 'Load workflows').click();
    expect(actions.load).toHaveBeenCalledTimes(1);
    widget.draw(STATE);
    expect(document.activeElement).toBe(button(widget, 'Test'));
  });
});

describe('DeployState', () => {
  it('is hidden in a notebook without a workflow', () => {
    expect(makeState({ hasDeploy: false }).isHidden).toBe(true);
  });

  it('shows the version and the note, and deploys', () => {
    const widget = makeState();
    expect(visibleText(widget)).toBe('v3 · edited since Deploy');
    expect(widget.node.querySelector('[title="Version a1b2c3"]')?.textContent).toBe('v3');
    button(widget, 'Deploy').click();
    expect(actions.deploy).toHaveBeenCalledTimes(1);
  });

  it('says that nothing is deployed', () => {
    const changes = { version: '', note: 'not deployed' } as const;
    expect(visibleText(makeState(changes))).toBe('not deployed Deploy');
  });

  it('shows no note that is not known', () => {
    expect(visibleText(makeState({ note: '' }))).toBe('v3 Deploy');
    expect(visibleText(makeState({ version: '', note: '' }))).toBe('Deploy');
  });

  it('does nothing while it is busy, and keeps the focus', () => {
    const widget = makeState();
    button(widget, 'Deploy').focus();
    widget.draw({ ...STATE, isBusy: true });
    button(widget, 'Deploy').click();
    expect(actions.deploy).not.toHaveBeenCalled();
    expect(widget.node.getAttribute('aria-busy')).toBe('true');
    expect(document.activeElement).toBe(button(widget, 'Deploy'));
  });
});
