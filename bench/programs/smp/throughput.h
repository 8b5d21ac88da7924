// Work that shares nothing: a bit of everything a program does, 20 ms or so.
#pragma once

void separate_work(void* sums, int number);
