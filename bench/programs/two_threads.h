// Two threads, each kept on a processor of its own.
#pragma once

// Calls work(argument, 0) on the first processor and work(argument, 1) on the second at the same
// time; returns when both are done. The second thread is made at the first call and waits between.
void run_on_two(void (*work)(void*, int), void* argument);

// Calls it on the first only.
void run_on_one(void (*work)(void*, int), void* argument);

int two_processors(void);
