import type { Host } from '../host';
import type { Run, Version } from '../types';

/** Tells whether a step's cell has changed since the version that a run uses. */
export class SourceCheck {
  /** Whether the cell in the open notebook differs from the version. */
  isChanged = false;
  private version: Version | null = null;
  private readKey = '';

  /**
   * @param host - reads versions, and the cells of the open notebook
   * @param step - the step's name
   * @param onUpdate - called when {@link isChanged} may have changed
   */
  constructor(
    private readonly host: Host,
    private readonly step: string,
    private readonly onUpdate: () => void
  ) {}

  /** The number of the version. */
  get number(): number {
    return this.version?.number ?? 0;
  }

  /** Read the version of a run, unless it was read before. */
  async follow({ workflow_id: workflow, version }: Run): Promise<void> {
    const key = `${workflow} ${version}`;
    if (!this.host.cellSource || key === this.readKey) {
      return;
    }
    this.readKey = key;
    this.version = null;
    try {
      const source = await this.host.source(workflow, version);
      if (this.readKey === key) {
        this.version = source;
      }
    } catch {
      // Without the version nothing is said about it. The next change of the run tries again.
      this.readKey = '';
    }
    this.check();
  }

  /** Compare the cell with the version. */
  check(): void {
    const { version } = this;
    const deployed = version?.source.steps.find(({ name }) => name === this.step);
    const cell = version && (this.host.cellSource?.(version.id, this.step) ?? null);
    const isChanged = cell !== null && deployed !== undefined && !isSameCode(cell, deployed.source);
    if (isChanged !== this.isChanged) {
      this.isChanged = isChanged;
      this.onUpdate();
    }
  }
}

/** Return whether two sources differ in no more than the blank lines around them. */
export function isSameCode(one: string, other: string): boolean {
  return plain(one) === plain(other);
}

function plain(source: string): string {
  return source.replace(/\r\n/g, '\n').replace(/^\s*\n|\s+$/g, '');
}
