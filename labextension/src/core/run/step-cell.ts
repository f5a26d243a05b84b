import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { keyed } from 'lit/directives/keyed.js';
import { ref } from 'lit/directives/ref.js';
import { Component } from '../component';
import { hasEnded, pauseLabel, readErrorMessage } from '../formatting';
import { LatestRun } from '../latest-run';
import { LiveOutputs } from '../live-outputs';
import type { LiveRuns } from '../live-runs';
import { button, failure, loading, time } from '../parts';
import type { RunWatch } from '../run-watch';
import { everyVisibleSecond, stopCounting } from '../ticker';
import type { Run } from '../types';
import { pauseBox } from './pause-box';
import { runActions } from './run-actions';
import { SourceCheck } from './source-check';
import { stepState, stepView } from './step-view';

/** The properties of {@link stepCell}. */
export interface StepCellProps {
  runs: LiveRuns;
  step: string;
  /** The workflow whose latest run is followed, or null to show `run` only. */
  workflow: string | null;
  /** The id of the run, or null if there is none yet. */
  run: string | null;
  /** Called each time that a run which is paused or has ended is shown. */
  onSettled?: (run: Run) => void;
}

class StepCell extends Component<StepCellProps> {
  /** The run that is shown until a later one was read. */
  private run: Run | null = null;
  private follower: LatestRun | RunWatch | null = null;
  private outputs: LiveOutputs | null = null;
  private source: SourceCheck | null = null;
  private ticking: Element | null = null;
  private settled = '';
  /** The id of the run that has asked here. What an answer has done stays until the next run. */
  private asked = '';

  protected override start(): void {
    const { runs, workflow, run, step } = this.props;
    this.source = new SourceCheck(runs.host, step, this.requestUpdate);
    if (workflow !== null) {
      this.follower = runs.watchLatest(workflow, this.onUpdate);
    } else if (run !== null) {
      this.follower = runs.watch(run, this.onUpdate);
    }
  }

  protected override stop(): void {
    this.follower?.dispose();
    this.outputs?.dispose();
    this.follower = this.outputs = this.source = null;
    this.tickOn(undefined);
  }

  protected override propsChanged(previous: StepCellProps): void {
    const names = ['runs', 'step', 'workflow', 'run'] as const;
    if (names.some(name => previous[name] !== this.props[name])) {
      this.stop();
      this.run = null;
      this.start();
    }
  }

  protected template(): unknown {
    const { run, follower } = this;
    if (run !== null) {
      return this.shown(run);
    }
    if (follower?.error) {
      return failure(readErrorMessage(follower.error), this.reload);
    }
    return follower === null || this.isEmpty ? noRun() : loading();
  }

  private get isEmpty(): boolean {
    return this.follower instanceof LatestRun && this.follower.isEmpty;
  }

  private readonly onUpdate = (): void => {
    const run = this.follower?.run ?? null;
    if (run !== null) {
      this.run = run;
      this.followOutputs(run);
      void this.source?.follow(run);
      this.reportSettled(run);
    } else if (this.isEmpty) {
      this.run = null;
    }
    this.requestUpdate();
  };

  private followOutputs(run: Run): void {
    if (this.outputs?.id !== run.id) {
      this.outputs?.dispose();
      this.outputs = new LiveOutputs(this.props.runs.host, run.id, this.requestUpdate, {
        step: this.props.step
      });
    }
    this.outputs.follow(run);
  }

  private reportSettled(run: Run): void {
    const state = `${run.id} ${run.status} ${run.updated_at}`;
    if ((run.status === 'paused' || hasEnded(run)) && state !== this.settled) {
      this.settled = state;
      this.props.onSettled?.(run);
    }
  }

  private readonly reload = (): void => {
    void this.follower?.reload();
  };

  private shown(run: Run): TemplateResult {
    const error = this.follower?.error;
    const stale = error ? `${readErrorMessage(error)} The run shown may be out of date.` : '';
    return html`<article
      class="jp-PDFlow-run jp-PDFlow-step-cell"
      data-status=${run.status}
      aria-label=${`Step ${this.props.step} of the run`}
      ${ref(this.tickOn)}
    >
      ${stale ? failure(stale, this.reload) : nothing} ${this.about(run)}
      ${keyed(run.id, this.content(run))}
    </article>`;
  }

  private about(run: Run): TemplateResult {
    const { runs, step: name } = this.props;
    const { host } = runs;
    const step = run.steps.find(each => each.name === name);
    const place = step ? `, step ${run.steps.indexOf(step) + 1} of ${run.steps.length}` : '';
    const facts = html`run ${this.link(run)}, started ${time(run.created_at)}${place}`;
    return html`<div class="jp-PDFlow-about">
      ${step ? stepState(run, step, [facts]) : facts}
      ${
        host.openNotebook
          ? button('Open as notebook', () => host.openNotebook?.(run.id), 'link')
          : nothing
      }
      ${this.source?.isChanged ? changedLine(this.source.number) : nothing}
    </div>`;
  }

  private link(run: Run): TemplateResult {
    const { host } = this.props.runs;
    const label = html`<span title=${run.id}>${run.title ?? run.workflow_name}</span>`;
    return host.openRun ? button(label, () => host.openRun?.(run.id), 'link') : label;
  }

  private content(run: Run): TemplateResult {
    const { runs, step: name } = this.props;
    const step = run.steps.find(each => each.name === name);
    if (step === undefined) {
      return html`<p class="jp-PDFlow-hint">
        This run has no step ${name}: it uses a version of the workflow without it.
      </p>`;
    }
    const outputs = this.outputs?.of(name) ?? [];
    return html`${stepView({ host: runs.host, run, step, outputs, isUnnamed: true })}
    ${this.outputsError()} ${this.question(run)}`;
  }

  private question(run: Run): unknown {
    const { runs, step } = this.props;
    const isAsking = run.pause?.step === step;
    if (isAsking) {
      this.asked = run.id;
    }
    return html`${isAsking ? pauseBox(run.pause) : nothing}
    ${this.asked === run.id ? runActions({ runs, run, step }) : nothing}
    ${isAsking ? nothing : whereabouts(run, step)}`;
  }

  private outputsError(): unknown {
    const { outputs } = this;
    return outputs?.error
      ? failure(`The output can’t be shown. ${readErrorMessage(outputs.error)}`, () =>
          outputs.reload()
        )
      : nothing;
  }

  /** Compare the cell with the run's version each second, because nothing tells of its changes. */
  private readonly tickOn = (element: Element | undefined): void => {
    if (this.ticking !== null) {
      stopCounting(this.ticking);
    }
    this.ticking = element && this.props.runs.host.cellSource ? element : null;
    if (this.ticking !== null) {
      everyVisibleSecond(this.ticking, () => this.source?.check());
    }
  };
}

/** One step of the latest production run, below the step's cell. */
export const stepCell = directive(StepCell);

function noRun(): TemplateResult {
  return html`<p class="jp-PDFlow-hint">
    No run yet. Start one with <em>Run workflow…</em> in the toolbar, or with
    <code>%pdflow run</code>.
  </p>`;
}

function changedLine(version: number): TemplateResult {
  const text = `This cell was changed since v${version}, which this run used.`;
  return html`<span class="jp-PDFlow-changed" role="status">${text}</span>`;
}

/** Return at which other step a run is, if it has not ended there. */
function whereabouts(run: Run, own: string): unknown {
  const { pause } = run;
  const running = run.steps.find(({ name, status }) => status === 'running' && name !== own);
  const failed = run.steps.find(({ name, status }) => status === 'failed' && name !== own);
  let text = '';
  if (pause) {
    text = `The run is at step ${pause.step}, which ${pauseLabel(pause.kind)}.`;
  } else if (running) {
    text = `The run is at step ${running.name}.`;
  } else if (run.status === 'queued') {
    text = 'The run waits to be executed.';
  } else if (failed) {
    text = `The run has failed at step ${failed.name}.`;
  } else if (run.status === 'canceled') {
    text = 'The run was canceled.';
  }
  return text === '' ? nothing : html`<p class="jp-PDFlow-whereabouts">${text}</p>`;
}
