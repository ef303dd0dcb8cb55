import * as z from 'zod';

/**
 * The one form in which the platform API answers lists. `next_cursor` is null exactly when `has_more` is false; a list
 * that is always whole has neither another page nor a cursor.
 */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    data: z.array(item),
    has_more: z.boolean().describe('Whether another page follows.'),
    next_cursor: z
      .string()
      .nullable()
      .describe('Send it as `cursor`, with the same filters, to get the next page. Null on the last page.'),
  });
