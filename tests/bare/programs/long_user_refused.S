// What CPL 3 may not do, and UMIP.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define REFUSED(number, vector, error, ...) \
    TRY(1f);                                \
    ENTER_USER64(refused_##number);         \
    refused_##number:                       \
    __VA_ARGS__;                            \
    FAIL;                                   \
    1: CAUGHT(vector, error);               \
    cmpq $refused_##number, caught_ip;      \
    CHECK(e)
#define ALLOWED(number, ...)        \
    TRY(1f);                        \
    ENTER_USER64(allowed_##number); \
    allowed_##number:               \
    __VA_ARGS__;                    \
    int $0x20;                      \
    1: CAUGHT(0x20, NO_ERROR)

main64:
    REFUSED(1, GP, 0, hlt)
    REFUSED(2, GP, 0, movq %cr0, %rax)
    REFUSED(3, GP, 0, movq %rax, %cr3)
    REFUSED(4, GP, 0, rdmsr)
    REFUSED(5, GP, 0, wrmsr)
    REFUSED(6, GP, 0, lgdtq gdt_pointer)
    REFUSED(7, GP, 0, lidtq idt_pointer)
    REFUSED(8, GP, 0, lldt %ax)
    REFUSED(9, GP, 0, ltr %ax)
    REFUSED(10, GP, 0, lmsw %ax)
    REFUSED(11, GP, 0, clts)
    REFUSED(12, GP, 0, invlpg 0)
    REFUSED(13, GP, 0, wbinvd)
    REFUSED(14, GP, 0, invd)
    REFUSED(15, UD, NO_ERROR, stac)
    ALLOWED(1, sgdt scratch)
    ALLOWED(2, sidt scratch)
    ALLOWED(3, sldt %eax)
    ALLOWED(4, str %eax)
    ALLOWED(5, smsw %eax)
    ALLOWED(6, rdtsc)
    ALLOWED(7, rdtscp)
    ALLOWED(8, clflush scratch)
    movq %cr4, %rax
    orl $CR4_UMIP | CR4_TSD, %eax
    movq %rax, %cr4
    REFUSED(21, GP, 0, sgdt scratch)
    REFUSED(22, GP, 0, sidt scratch)
    REFUSED(23, GP, 0, sldt %eax)
    REFUSED(24, GP, 0, str %eax)
    REFUSED(25, GP, 0, smsw %eax)
    REFUSED(26, GP, 0, rdtsc)
    REFUSED(27, GP, 0, rdtscp)
    sgdt scratch // not at CPL 0
    movq scratch + 2, %rax
    cmpq $gdt, %rax
    CHECK(e)
    strl %eax
    EXPECT_EQ(TSS_SELECTOR, %eax)
    rdtsc
    TRY(1f)
    xorl %ecx, %ecx
    rdpmc
    FAIL
1:  CAUGHT(GP, 0)
    movl $0x12345, %ecx
    TRY(1f)
    rdmsr
    FAIL
1:  CAUGHT(GP, 0)
    PASS

    .data
    .balign 16
scratch: .quad 0, 0
