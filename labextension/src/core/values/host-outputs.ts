import { directive } from 'lit/async-directive.js';
import { Component } from '../component';
import type { Host } from '../host';
import type { Output } from '../types';

/** The properties of {@link hostOutputs}. */
export interface HostOutputsProps {
  host: Host;
  outputs: Output[];
}

/** Owns an element whose content the host renders, again only if the outputs have changed. */
class HostOutputs extends Component<HostOutputsProps> {
  private readonly node = document.createElement('div');
  private shown = '[]';
  private isPending = false;

  protected override stop(): void {
    this.show([]);
  }

  protected template(): unknown {
    if (!this.isPending) {
      this.isPending = true;
      // Hosts have to find the element in the page, where it is once the template is drawn.
      queueMicrotask(() => {
        this.isPending = false;
        if (this.isConnected) {
          this.show(this.props.outputs);
        }
      });
    }
    return this.node;
  }

  private show(outputs: Output[]): void {
    const json = JSON.stringify(outputs);
    if (json !== this.shown) {
      this.shown = json;
      this.keepHeight();
      this.props.host.renderOutputs?.(outputs, this.node);
    }
  }

  /** Keep the height until the host has rendered, so that what follows does not jump. */
  private keepHeight(): void {
    const { node } = this;
    node.style.minHeight = `${node.offsetHeight}px`;
    setTimeout(() => (node.style.minHeight = ''), KEEP_MS);
  }
}

const KEEP_MS = 150;

/** Outputs as the host renders them. */
export const hostOutputs = directive(HostOutputs);
