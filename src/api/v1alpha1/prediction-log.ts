import Type, { type Static } from 'typebox';
import { percentage } from './percentage.ts';

export const PredictionLog = Type.Object(
  {
    sink: Type.Enum(['Stdout'], {
      description: 'Where records go: Stdout, one JSON object a line.',
      default: 'Stdout',
    }),
    sampling: percentage({ description: 'Share of the requests that are written, 0% to 100%.', default: '1%' }),
  },
  { description: 'Writes requests and their predictions. Default: none are written.' },
);
export type PredictionLog = Static<typeof PredictionLog>;
