import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { keyed } from 'lit/directives/keyed.js';
import { Component } from '../component';
import { formatCount, readErrorMessage } from '../formatting';
import type { Host } from '../host';
import { failure, loading, time } from '../parts';
import { isSameCode } from '../run/source-check';
import type { Run, Version } from '../types';
import { switchOf } from './switch';
import { diffLines } from './diff';

/** A part of a workflow's code; what it is compared with is null if that has no such part. */
interface CodePart {
  title: string;
  source: string;
  other: string | null;
}

/** The code of a version, and what it is compared with. */
interface Code {
  version: Version;
  /** What the version is compared with, such as "the open notebook". */
  other: string;
  parts: CodePart[];
}

const SHAPES = ['Code', 'Changes'] as const;
/** Number of equal lines that are shown before and after changed ones. */
const CONTEXT = 3;

/** Return the code of a run's version, and how it differs from the open notebook. */
export function codeView(host: Host, run: Run): unknown {
  const { workflow_id: workflow, version } = run;
  return keyed(`${workflow} ${version}`, html`${codePart({ host, workflow, version })}`);
}

interface CodeProps {
  host: Host;
  workflow: string;
  version: string;
}

class CodeView extends Component<CodeProps> {
  private code: Code | null = null;
  private error: unknown = null;
  private shape: (typeof SHAPES)[number] = 'Code';

  protected override start(): void {
    void this.load();
  }

  protected template(): unknown {
    const { code, error } = this;
    if (error !== null) {
      return failure(readErrorMessage(error), this.retry);
    }
    if (code === null) {
      return loading();
    }
    const changed = code.parts.filter(isChanged);
    const isDiff = this.shape === 'Changes' && changed.length > 0;
    return html`<div class="jp-PDFlow-code">
      <div class="jp-PDFlow-code-head">
        <p>${versionText(code)} ${comparison(code, changed.length)}</p>
        ${changed.length > 0 ? switchOf('Show', SHAPES, this.shape, this.setShape) : nothing}
      </div>
      ${isDiff ? changed.map(diffSection) : code.parts.map(codeSection)}
    </div>`;
  }

  private readonly setShape = (shape: (typeof SHAPES)[number]): void => {
    this.shape = shape;
    void this.load();
  };

  private readonly retry = (): void => {
    this.error = null;
    void this.load();
    this.requestUpdate();
  };

  private async load(): Promise<void> {
    const { host, workflow, version } = this.props;
    try {
      this.code = await readCode(host, workflow, version, this.code?.version);
    } catch (error) {
      this.error = error;
    }
    this.requestUpdate();
  }
}

const codePart = directive(CodeView);

/** Return the code of a version next to the open notebook's, or to the newest version's. */
async function readCode(host: Host, workflow: string, id: string, known?: Version): Promise<Code> {
  const version = known ?? (await host.source(workflow, id));
  const cells = version.source.steps.map(({ name }) => host.cellSource?.(workflow, name) ?? null);
  if (cells.some(cell => cell !== null)) {
    const parts = partsOf(version).map(({ title, source }, index, all) => {
      const step = index - version.source.setup.length;
      const isStep = step >= 0 && step < cells.length;
      return { title, source, other: isStep ? cells[step] : all[index].source };
    });
    return { version, other: 'the open notebook', parts };
  }
  const newest = await host.workflow(workflow);
  if (newest.version === version.version) {
    return { version, other: '', parts: partsOf(version) };
  }
  const source = await host.source(workflow, newest.version);
  return {
    version,
    other: `v${newest.number}, the newest version`,
    parts: merged(version, source)
  };
}

/** Return the parts of a version; each is compared with itself. */
function partsOf({ source }: Version): CodePart[] {
  const titled = [
    ...source.setup.map((code, index) => [
      source.setup.length > 1 ? `Setup ${index + 1}` : 'Setup',
      code
    ]),
    ...source.steps.map(({ name, source: code }) => [`Step ${name}`, code]),
    ...source.modules.map(({ path, source: code }) => [`Module ${path}`, code])
  ];
  return titled.map(([title, code]) => ({ title, source: code, other: code }));
}

/** Return the parts of two versions, by their titles. */
function merged(version: Version, newest: Version): CodePart[] {
  const others = new Map(partsOf(newest).map(({ title, source }) => [title, source]));
  const parts = partsOf(version).map(({ title, source }) => {
    return { title, source, other: others.get(title) ?? null };
  });
  const known = new Set(parts.map(({ title }) => title));
  const added = [...others].filter(([title]) => !known.has(title));
  return [...parts, ...added.map(([title, other]) => ({ title, source: '', other }))];
}

function isChanged({ source, other }: CodePart): boolean {
  return other === null || !isSameCode(source, other);
}

function versionText({ version: { number, created_at: at } }: Code): TemplateResult {
  return html`${`Version v${number}, deployed`} ${time(at)}.`;
}

function comparison({ version, other }: Code, changed: number): TemplateResult {
  if (other === '') {
    return html`It is the newest version.`;
  }
  if (changed === 0) {
    return other.startsWith('v')
      ? html`The code has not changed in ${other}.`
      : html`Its steps have not changed in the open notebook.`;
  }
  return html`${formatCount(changed, 'part')} ${changed === 1 ? 'differs' : 'differ'} from ${other}
    (<b>−</b> only in v${version.number}, <b>+</b> only in ${other.split(',')[0]}).`;
}

function codeSection({ title, source }: CodePart): unknown {
  return source === '' ? nothing : section(title, html`${source}`);
}

function diffSection({ title, source, other }: CodePart): TemplateResult {
  if (other === null) {
    return section(`${title} (removed)`, diff(source, ''));
  }
  return section(source === '' ? `${title} (added)` : title, diff(source, other));
}

function section(title: string, code: unknown): TemplateResult {
  return html`<section>
    <h4>${title}</h4>
    <pre class="jp-PDFlow-source" tabindex="0" role="region" aria-label=${title}>${code}</pre>
  </section>`;
}

function diff(source: string, other: string): unknown {
  const lines = diffLines(source.trimEnd(), other.trimEnd());
  const isNear = (index: number): boolean =>
    lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some(({ mark }) => mark !== ' ');
  return lines.map(({ mark, text }, index) => {
    if (!isNear(index)) {
      return index > 0 && !isNear(index - 1)
        ? nothing
        : html`<span class="jp-PDFlow-diff-gap">⋯</span>`;
    }
    return html`<span class="jp-PDFlow-diff-line" data-mark=${mark}>${mark} ${text}</span>`;
  });
}
