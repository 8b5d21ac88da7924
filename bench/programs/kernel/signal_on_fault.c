// A store to a page without permission, whose signal handler permits it: what garbage collectors
// and emulators do.
#define _GNU_SOURCE
#include "../measure.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { kPage = 4096 };

static volatile char* page;
static volatile uint64_t faults;

static void permit(int number, siginfo_t* about, void* context) {
    (void)number;
    (void)context;
    if ((volatile char*)about->si_addr != page) abort();
    ++faults;
    mprotect((void*)page, kPage, PROT_READ | PROT_WRITE);
}

static uint64_t work(void) {
    if (page == NULL) {
        page = mmap(NULL, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct sigaction action = {0};
        action.sa_sigaction = permit;
        action.sa_flags = SA_SIGINFO;
        if (page == MAP_FAILED || sigaction(SIGSEGV, &action, NULL) != 0) abort();
    }
    faults = 0;
    for (int i = 0; i < 1000; ++i) {
        if (mprotect((void*)page, kPage, PROT_READ) != 0) abort();
        *page = (char)i;
    }
    return faults;
}

PROGRAM("kernel", "signal on a fault", work)
