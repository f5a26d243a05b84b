import { describe, expect, it, vi } from 'vitest';
import { ModeSwitch } from '../../src/plugin/mode-switch';

function buttons(widget: ModeSwitch): HTMLButtonElement[] {
  return [...widget.node.querySelectorAll('button')];
}

describe('ModeSwitch', () => {
  it('is hidden until there is a mode', () => {
    const widget = new ModeSwitch(() => undefined);
    expect(widget.isHidden).toBe(true);
    widget.setMode('test');
    expect(widget.isHidden).toBe(false);
    const pressed = buttons(widget).map(button => button.getAttribute('aria-pressed'));
    expect(pressed).toEqual(['true', 'false']);
  });

  it('calls back for the other mode only, and not while it is busy', () => {
    const choose = vi.fn();
    const widget = new ModeSwitch(choose);
    widget.setMode('test');
    const [test, production] = buttons(widget);
    test.click();
    expect(choose).not.toHaveBeenCalled();
    production.click();
    expect(choose).toHaveBeenCalledWith('production');
    widget.setBusy(true);
    production.click();
    expect(choose).toHaveBeenCalledTimes(1);
    expect(widget.node.getAttribute('aria-busy')).toBe('true');
  });
});
