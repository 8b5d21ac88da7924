// What every bare program uses: how it says what it expects. Valid in 16-, 32- and 64-bit code.

#define EXIT_PORT 0xf4       /* a doubleword: 0 the program passed, else the line that failed */
#define INTERRUPT_PORT 0xf5  /* a byte: raises an external interrupt with this vector */
#define NMI_PORT 0xf6        /* any byte: raises an NMI */
#define DMA_ADDRESS_PORT 0xf7 /* a doubleword: where a device writes to */
#define DMA_PORT 0xf8        /* a doubleword: the device writes it there at once */
#define LATE_DMA_PORT 0xf9   /* the same, but by another thread and a little later */
#define ALARM_PORT 0xfa      /* a byte: another thread raises this interrupt a little later */

#define SMI_PORT 0xfb        /* any byte: a system management interrupt */
#define HYPERVISOR_PORT 0xfc /* any byte: from here on there is KVM's interface, before there is none */

/* Read-only memory whose byte n is n; a write there switches it to a device that reads as 80h, and a
   write of FFh back. And RAM that only management mode sees. */
#define FLASH 0xfc000000
#define MANAGEMENT_PAGE 0x3000000

/* Devices in memory, by physical address: one keeps what is written to its page; of the other's
   page the first bytes are "mov $0x12345678, %eax; ret". */
#define MMIO_CELLS 0xfe000000
#define MMIO_CODE 0xfd000000

#define EXPECT_EXIT 0
#define EXPECT_SHUTDOWN 1
#define EXPECT_HALT 2

/* First in every program: what the driver must see at the end. */
#define PROGRAM(expectation)      \
    .section .header, "ax";       \
    .long 0x48414e59, expectation; \
    .balign 16;                   \
    .code16;                      \
    jmp real_start;               \
    .text;                        \
    PROGRAM_CODE

#define FAIL_WITH(line)   \
    movl $(line), %eax;   \
    movw $EXIT_PORT, %dx; \
    outl %eax, %dx

/* An event without TRY: DEADxxh with its vector; its address is in %ecx, its error code in %ebx. */
#define UNEXPECTED_EVENT      \
    movl caught_ip, %ecx;     \
    movl caught_error, %ebx;  \
    movl caught_vector, %eax; \
    orl $0xdead00, %eax;      \
    movw $EXIT_PORT, %dx;     \
    outl %eax, %dx

#define FAIL FAIL_WITH(__LINE__)
#define PASS FAIL_WITH(0)

/* CHECK(e) after a comparison: goes on if the condition holds. */
#define CHECK(condition) \
    j##condition 77f;    \
    FAIL;                \
    77:

/* Memory (32 bits) or a register against a constant. */
#define EXPECT_EQ(value, where) \
    cmpl $(value), where;       \
    CHECK(e)

/* Events by vector. */
#define DE 0
#define DB 1
#define NMI 2
#define BP 3
#define OF 4
#define BR 5
#define UD 6
#define NM 7
#define DF 8
#define TS 10
#define NP 11
#define SS 12
#define GP 13
#define PF 14
#define AC 17

/* Bits. */
#define CR0_PE 1
#define CR0_WP 0x10000
#define CR0_AM 0x40000
#define CR0_PG 0x80000000
#define CR4_VME 1
#define CR4_TSD 4
#define CR4_DE 8
#define CR4_PSE 0x10
#define CR4_PAE 0x20
#define CR4_PGE 0x80
#define CR4_UMIP 0x800
#define CR4_FSGSBASE 0x10000
#define CR4_PCIDE 0x20000
#define CR4_SMEP 0x100000
#define CR4_SMAP 0x200000
#define MSR_EFER 0xc0000080
#define EFER_SCE 1
#define EFER_LME 0x100
#define EFER_NXE 0x800

/* Page entries and page-fault codes. */
#define P 1
#define RW 2
#define US 4
#define A 0x20
#define D 0x40
#define PS 0x80
#define G 0x100
#define PF_P 1
#define PF_W 2
#define PF_U 4
#define PF_RSVD 8
#define PF_I 16

/* What the last event left behind; see catch32.h and catch64.h. */
#define CATCH_VARIABLES                  \
    .data;                               \
    .balign 8;                           \
    caught_vector: .quad 0xff;           \
    caught_error: .quad 0;               \
    caught_ip: .quad 0;                  \
    caught_cs: .quad 0;                  \
    caught_flags: .quad 0;               \
    caught_sp: .quad 0;                  \
    caught_ss: .quad 0;                  \
    caught_cr2: .quad 0;                 \
    caught_count: .quad 0;               \
    handler_sp: .quad 0;                 \
    resume: .quad 0;                     \
    saved_sp: .quad 0;                   \
    hook: .quad 0;                       \
    .text
