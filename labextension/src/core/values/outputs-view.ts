import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { Component } from '../component';
import type { Host } from '../host';
import type { Output } from '../types';
import type { Folded } from './fold';
import { foldOutputs, joinStreams } from './fold';
import { hostOutputs } from './host-outputs';
import { plainOutput, toPlain } from './plain-outputs';

interface OutputsProps {
  host: Host;
  outputs: readonly Output[];
}

class Outputs extends Component<OutputsProps> {
  private isOpen = false;
  private all: Output[] = [];
  private folded: Folded = { head: [], tail: [], amount: null };

  protected override start(): void {
    this.read();
  }

  protected override propsChanged({ outputs }: OutputsProps): void {
    if (outputs !== this.props.outputs) {
      this.read();
    }
  }

  protected template(): unknown {
    const { head, tail, amount } = this.folded;
    if (this.all.length === 0) {
      return nothing;
    }
    const isOpen = this.isOpen && amount !== null;
    return html`<div class="jp-PDFlow-outputs">
      ${isOpen ? nothing : this.part(head)}
      ${amount === null ? nothing : this.toggleButton(isOpen, amount)}
      ${isOpen ? this.scrolling() : this.part(tail)}
    </div>`;
  }

  private toggleButton(isOpen: boolean, amount: string): TemplateResult {
    return html`<button
      type="button"
      class="jp-PDFlow-link jp-PDFlow-folded"
      aria-expanded=${isOpen}
      @click=${this.toggle}
    >
      ${isOpen ? 'Show less' : `Show all ${amount}`}
    </button>`;
  }

  private read(): void {
    const { host, outputs } = this.props;
    const joined = joinStreams(outputs);
    this.all = host.renderOutputs ? joined : joined.map(toPlain);
    this.folded = foldOutputs(this.all);
  }

  private scrolling(): unknown {
    return html`<div class="jp-PDFlow-scroll" tabindex="0" role="region" aria-label="Output">
      ${this.part(this.all)}
    </div>`;
  }

  private part(outputs: Output[]): unknown {
    const { host } = this.props;
    if (outputs.length === 0) {
      return nothing;
    }
    return host.renderOutputs ? hostOutputs({ host, outputs }) : outputs.map(plainOutput);
  }

  private readonly toggle = (): void => {
    this.isOpen = !this.isOpen;
    this.requestUpdate();
  };
}

const outputsPart = directive(Outputs);

/** Return outputs as a notebook shows them, folded if they are long. */
export function outputsView(host: Host, outputs: readonly Output[]): unknown {
  return outputsPart({ host, outputs });
}
