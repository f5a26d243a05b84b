/** The views of all widgets of a page: the module that each widget's loader imports. */
import { mount } from './core/component';
import { runsView } from './core/list/runs-view';
import { runPage } from './core/run/run-page';
import { stepCell } from './core/run/step-cell';
import type { Run } from './core/types';
import { renderAnswerForm } from './widget/answer-form';
import { keepOwnKeys } from './widget/own-keys';
import type { SettledRuns } from './widget/settled-runs';
import { settledReporter } from './widget/settled-reporter';
import type { ViewSpec } from './widget/view-spec';
import { followsLatest } from './widget/view-spec';
import type { ViewContext } from './widget/views-module';
import { connect } from './widget/widget-host';

/** Draw a widget's view. Returns a function that removes it. */
export function render(context: ViewContext): () => void {
  const { model, el } = context;
  const isForm = (model.get('view') as ViewSpec).kind === 'form';
  const remove = isForm ? renderAnswerForm(context) : renderRuns(context);
  const releaseKeys = keepOwnKeys(el);
  return () => {
    releaseKeys();
    remove();
  };
}

function renderRuns({ model, el, server }: ViewContext): () => void {
  const spec = model.get('view') as ViewSpec;
  const { settled, dispose } = connect(model, spec, server);
  const reporter = settledReporter(model, el);
  const ignore = reportSettled(settled, spec, reporter.report);
  const unmount = mount(el, viewOf(spec, settled, reporter.report));
  return () => {
    ignore();
    reporter.dispose();
    unmount();
    dispose();
  };
}

/** Report the settled runs that a view shows. A step's view does that itself. */
function reportSettled(
  settled: SettledRuns,
  { kind, run, workflow }: ViewSpec,
  report: (run: Run) => void
): () => void {
  if (kind === 'step') {
    return () => undefined;
  }
  return settled.subscribe(read => {
    if ((run ?? read.id) === read.id && (workflow ?? read.workflow_id) === read.workflow_id) {
      report(read);
    }
  });
}

function viewOf(spec: ViewSpec, { runs }: SettledRuns, onSettled: (run: Run) => void): unknown {
  const { kind, step = '', run = null } = spec;
  if (kind === 'step') {
    const workflow = followsLatest(spec) ? (spec.workflow ?? null) : null;
    return stepCell({ runs, step, run, workflow, onSettled });
  }
  if (kind === 'run') {
    return runPage({ runs, id: run ?? '' });
  }
  return runsView({
    runs,
    workflow: spec.workflow ?? undefined,
    status: spec.status ?? undefined
  });
}
