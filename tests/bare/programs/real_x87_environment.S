// FNSTENV and FLDENV in real mode: the layouts with linear addresses, 16 and 32 bits
// [SDM 1 figures 8-10, 8-12].
#include "real.h"
PROGRAM(EXPECT_EXIT)

main16:
    fninit
    fldenv short_image // as 16-bit code means it
    fnstenvs scratch
    fldenv short_image
    cmpw $0x037f, scratch
    CHECK(e)
    cmpw $0x3800, scratch + 2
    CHECK(e)
    cmpw $0xffff, scratch + 4
    CHECK(e)
    cmpw $0x5678, scratch + 6 // FIP, low
    CHECK(e)
    cmpw $0xa123, scratch + 8 // FIP, high, and FOP
    CHECK(e)
    cmpw $0x1234, scratch + 10
    CHECK(e)
    cmpw $0xb000, scratch + 12
    CHECK(e)

    data32 fldenv long_image
    data32 fnstenv scratch
    EXPECT_EQ(0xffff037f, scratch)
    EXPECT_EQ(0xffff0800, scratch + 4)
    EXPECT_EQ(0xffffffff, scratch + 8)
    EXPECT_EQ(0xffff5678, scratch + 12)
    EXPECT_EQ(0x02345456, scratch + 16) // FIP 31:16 in 27:12, FOP
    EXPECT_EQ(0xffff1234, scratch + 20)
    EXPECT_EQ(0x0abcd000, scratch + 24)

    // FNSAVE: eight registers behind it, and the unit initialised.
    fninit
    fld1
    fnsaves scratch
    cmpw $0x3fff, scratch + 14 + 8
    CHECK(e)
    fnstsw %ax
    cmpw $0, %ax
    CHECK(e)
    frstors scratch
    fnstsw %ax
    cmpw $0x3800, %ax
    CHECK(e)
    fnstenvs scratch
    cmpw $0x3fff, scratch + 4
    CHECK(e)

    // VEX is not for real mode: C5 is LDS.
    movw $undefined, UD * 4
    movw $0, UD * 4 + 2
    .byte 0xc5, 0xf8, 0x77 // vzeroupper
    cmpw $1, faults
    CHECK(e)
    PASS

undefined:
    incw faults
    movw %sp, %bp
    addw $3, (%bp)
    iretw

    .data
    .balign 4
faults: .word 0
short_image: .word 0x37f, 0x3800, 0xffff, 0x5678, 0xa123, 0x1234, 0xb000
long_image: .long 0x37f, 0x800, 0xffff, 0x5678, 0x02345456, 0x1234, 0x0abcd000
scratch: .fill 128, 1, 0
