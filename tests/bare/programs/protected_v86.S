// Virtual-8086 mode: entering by IRET, faults out of it, INT n by IOPL, CR4.VME's redirection, VIF.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

#define V86_FLAGS 0x20002
// To virtual-8086 mode at 0:label with these flags besides VM.
#define ENTER_V86(label, flags)  \
    pushl $0x5555; /* GS */      \
    pushl $0x4444;               \
    pushl $0x3333; /* DS */      \
    pushl $0x2222; /* ES */      \
    pushl $0;      /* SS */      \
    pushl $0x6000;               \
    pushl $V86_FLAGS | (flags);  \
    pushl $0;                    \
    pushl $label;                \
    iretl
#define IOPL3 0x3000

main32:
    // INT n with IOPL below 3: #GP(0).
    TRY(1f)
    ENTER_V86(v86_int, 0)
1:  CAUGHT(GP, 0)
    EXPECT_EQ(v86_int, caught_ip)
    testl $0x20000, caught_flags
    CHECK(nz)
    // Segment registers were saved above SS and are null now.
    movl handler_sp, %ebx
    EXPECT_EQ(INNER_STACK - 40 + 4, %ebx)
    EXPECT_EQ(0x6000, 12(%ebx))
    EXPECT_EQ(0x2222, 20(%ebx))
    EXPECT_EQ(0x3333, 24(%ebx))
    EXPECT_EQ(0x4444, 28(%ebx))
    EXPECT_EQ(0x5555, 32(%ebx))
    movl %gs, %eax
    EXPECT_EQ(0, %eax)

    // With IOPL 3 the gate is taken.
    TRY(1f)
    ENTER_V86(v86_int, IOPL3)
1:  CAUGHT(0x21, NO_ERROR)
    EXPECT_EQ(v86_int + 2, caught_ip)

    // Segments are 16 bytes each.
    TRY(1f)
    ENTER_V86(v86_segments, IOPL3)
1:  CAUGHT(0x22, NO_ERROR)

    // CLI is IOPL-sensitive, HLT privileged, LLDT unknown.
    TRY(1f)
    ENTER_V86(v86_cli, 0)
1:  CAUGHT(GP, 0)
    EXPECT_EQ(v86_cli, caught_ip)
    TRY(1f)
    ENTER_V86(v86_hlt, IOPL3)
1:  CAUGHT(GP, 0)
    TRY(1f)
    ENTER_V86(v86_lldt, IOPL3)
1:  CAUGHT(UD, NO_ERROR)
    TRY(1f)
    ENTER_V86(v86_limit, IOPL3)
1:  CAUGHT(GP, 0)

    // VME: INT 21h redirected to the program's own table, by the TSS' map of zeros.
    movl %cr4, %eax
    orl $CR4_VME, %eax
    movl %eax, %cr4
    movl $v86_handler, 0x21 * 4 // segment 0
    TRY(1f)
    ENTER_V86(v86_redirected, 0x80000) // VIF, IOPL 0
1:  CAUGHT(GP, 0)
    EXPECT_EQ(v86_redirected_end, caught_ip)
    testl $0x80000, caught_flags // IRET brought VIF back
    CHECK(nz)
    // The bit set: IOPL decides again.
    movb $2, tss + 0x68 + 0x21 / 8
    TRY(1f)
    ENTER_V86(v86_int, 0)
1:  CAUGHT(GP, 0)
    EXPECT_EQ(v86_int, caught_ip)
    // CLI and STI change VIF; STI with VIP pending is #GP.
    TRY(1f)
    ENTER_V86(v86_vif, 0x80000)
1:  CAUGHT(GP, 0)
    EXPECT_EQ(v86_vif_end, caught_ip)
    testl $0x80000, caught_flags
    CHECK(z)
    TRY(1f)
    ENTER_V86(v86_sti, 0x100000)
1:  CAUGHT(GP, 0)
    EXPECT_EQ(v86_sti, caught_ip)
    PASS

    .code16
v86_int:
    int $0x21
v86_segments:
    movw $0x8000 >> 4, %ax
    movw %ax, %ds
    cmpl $0x48414e59, 0 // the image's header
    jne 1f
    movw %ds, %bx
    cmpw $0x800, %bx
    jne 1f
    int $0x22
1:  FAIL
v86_cli:
    cli
v86_hlt:
    hlt
v86_lldt:
    lldt %ax
v86_limit:
    movw $0xffff, %bx
    movw (%bx), %ax
v86_redirected:
    int $0x21
v86_redirected_end:
    hlt
v86_handler:
    movw %sp, %bp
    testw $0x200, 4(%bp) // IF of the image is VIF
    jz 1f
    testw $0x3000, 4(%bp) // and its IOPL reads 3
    jz 1f
    cmpw $v86_redirected_end, (%bp)
    jne 1f
    iretw
1:  hlt
v86_vif:
    cli
v86_vif_end:
    hlt
v86_sti:
    sti
    .code32
