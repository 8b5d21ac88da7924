#include "device/interrupt/pic8259.h"

#include <gtest/gtest.h>

#include "device/interrupt/pic8259_registers.h"
#include "device/interrupt/pic_pair.h"
#include "testing/recording_line.h"

namespace mynah {
namespace {

class Pic8259Test : public ::testing::Test {
 protected:
    Pic8259Test() { initialize(0x01); }

    // Single, 8086 mode, vectors from 20h.
    void initialize(uint8_t icw4) {
        chip.write(0, 0x13);
        chip.write(1, 0x20);
        chip.write(1, icw4);
        chip.write(1, 0x00);
    }
    void edge(unsigned input) {
        chip.set_input(input, true);
        chip.set_input(input, false);
    }
    int take() {
        if (!chip.output()) return -1;
        return chip.acknowledge().vector;
    }
    uint8_t isr() {
        chip.write(0, 0x0b);
        return chip.read(0);
    }
    uint8_t irr() {
        chip.write(0, 0x0a);
        return chip.read(0);
    }

    Pic8259 chip{Pic8259::Role::kMaster, pic::kMasterElcrMask};
};

TEST_F(Pic8259Test, DeliversTheHighestPriorityFirst) {
    edge(5);
    edge(3);
    EXPECT_EQ(irr(), 0x28);
    EXPECT_EQ(take(), 0x23);
    EXPECT_EQ(isr(), 0x08);
    EXPECT_EQ(irr(), 0x20);
    EXPECT_EQ(take(), -1);  // 5 waits for 3
    edge(1);
    EXPECT_EQ(take(), 0x21);  // 1 does not
    chip.write(0, 0x20);
    EXPECT_EQ(isr(), 0x08);
    chip.write(0, 0x20);
    EXPECT_EQ(take(), 0x25);
}

TEST_F(Pic8259Test, MaskHoldsRequestsBack) {
    chip.write(1, 0x10);
    EXPECT_EQ(chip.read(1), 0x10);
    edge(4);
    EXPECT_EQ(take(), -1);
    EXPECT_EQ(irr(), 0x10);
    chip.write(1, 0x00);
    EXPECT_EQ(take(), 0x24);
}

TEST_F(Pic8259Test, AnEdgeCountsOnce) {
    chip.set_input(2, true);
    EXPECT_EQ(take(), 0x22);
    chip.write(0, 0x20);
    EXPECT_EQ(take(), -1);
    chip.set_input(2, true);
    EXPECT_EQ(take(), -1);
}

TEST_F(Pic8259Test, ALevelRequestsAgainUntilItFalls) {
    chip.write_elcr(0xff);
    EXPECT_EQ(chip.elcr(), pic::kMasterElcrMask);  // 0 to 2 stay edges
    chip.set_input(5, true);
    EXPECT_EQ(take(), 0x25);
    chip.write(0, 0x20);
    EXPECT_EQ(take(), 0x25);
    chip.set_input(5, false);
    chip.write(0, 0x20);
    EXPECT_EQ(take(), -1);
    EXPECT_EQ(irr(), 0);
}

TEST_F(Pic8259Test, ARequestGoneBeforeTheAcknowledgeIsSpurious) {
    chip.write_elcr(0x08);
    chip.set_input(3, true);
    EXPECT_TRUE(chip.output());
    chip.set_input(3, false);
    EXPECT_FALSE(chip.output());
    const Pic8259::Acknowledged got = chip.acknowledge();
    EXPECT_TRUE(got.spurious);
    EXPECT_EQ(got.vector, 0x27);
    EXPECT_EQ(isr(), 0);
}

TEST_F(Pic8259Test, SpecificEndOfInterrupt) {
    edge(3);
    take();
    edge(1);
    take();
    chip.write(0, 0x63);  // specific, input 3
    EXPECT_EQ(isr(), 0x02);
}

TEST_F(Pic8259Test, RotationMakesTheServedOneTheLowest) {
    edge(4);
    take();
    chip.write(0, 0xa0);  // rotate on non-specific EOI
    edge(4);
    edge(5);
    EXPECT_EQ(take(), 0x25);
    chip.write(0, 0xa0);
    EXPECT_EQ(take(), 0x24);
}

TEST_F(Pic8259Test, SetPriorityAndRotateOnSpecificEoi) {
    chip.write(0, 0xc2);  // input 2 lowest: 3 is highest
    edge(0);
    edge(2);
    edge(3);
    EXPECT_EQ(take(), 0x23);
    chip.write(0, 0xe3);  // EOI for 3, which becomes the lowest
    EXPECT_EQ(isr(), 0);
    EXPECT_EQ(take(), 0x20);
    chip.write(0, 0x20);
    EXPECT_EQ(take(), 0x22);
}

TEST_F(Pic8259Test, AutomaticEoiLeavesNothingInService) {
    initialize(0x03);
    edge(3);
    edge(6);
    EXPECT_EQ(take(), 0x23);
    EXPECT_EQ(isr(), 0);
    EXPECT_EQ(take(), 0x26);
}

TEST_F(Pic8259Test, AutomaticEoiWithRotation) {
    initialize(0x03);
    chip.write(0, 0x80);
    edge(0);
    EXPECT_EQ(take(), 0x20);
    edge(0);
    edge(7);
    EXPECT_EQ(take(), 0x27);
    chip.write(0, 0x00);  // rotation off: 7 stays lowest
    EXPECT_EQ(take(), 0x20);
    edge(1);
    edge(0);
    EXPECT_EQ(take(), 0x20);
}

TEST_F(Pic8259Test, SpecialMaskModeLetsLowerOnesThrough) {
    edge(2);
    take();
    edge(6);
    EXPECT_EQ(take(), -1);
    chip.write(1, 0x04);
    chip.write(0, 0x68);
    EXPECT_EQ(take(), 0x26);
    // The masked one is not ended by a non-specific command.
    chip.write(0, 0x20);
    EXPECT_EQ(isr(), 0x04);
    chip.write(0, 0x48);  // special mask off
    chip.write(0, 0x20);
    EXPECT_EQ(isr(), 0);
}

TEST_F(Pic8259Test, SpecialFullyNestedModeLetsTheSlaveInterruptItself) {
    chip.write(0, 0x11);
    chip.write(1, 0x20);
    chip.write(1, 0x04);  // slave on 2
    chip.write(1, 0x11);
    edge(2);
    EXPECT_EQ(take(), 0x22);
    edge(3);
    EXPECT_EQ(take(), 0x23);  // only the cascade is taken out of the nesting
    edge(2);
    EXPECT_EQ(take(), 0x22);
}

TEST_F(Pic8259Test, PollingAcknowledges) {
    chip.write(0, 0x0c);
    EXPECT_EQ(chip.read(0), 0x00);
    edge(6);
    chip.write(0, 0x0c);
    EXPECT_EQ(chip.read(0), 0x86);
    EXPECT_EQ(isr(), 0x40);
    EXPECT_EQ(irr(), 0);
}

TEST_F(Pic8259Test, Icw1ForgetsEdgesMasksAndService) {
    edge(3);
    take();
    edge(4);
    chip.write(1, 0xff);
    chip.write(0, 0xc4);
    chip.write(0, 0x13);
    EXPECT_FALSE(chip.output());
    EXPECT_EQ(chip.read(0), 0);  // IRR
    chip.write(1, 0x40);
    chip.write(1, 0x01);
    EXPECT_EQ(chip.read(1), 0);
    EXPECT_EQ(isr(), 0);
    edge(0);
    edge(7);
    EXPECT_EQ(take(), 0x40);
}

TEST_F(Pic8259Test, WithoutIcw4InitializationIsOver) {
    chip.write(0, 0x12);
    chip.write(1, 0x57);
    chip.write(1, 0xfe);  // already the mask
    EXPECT_EQ(chip.read(1), 0xfe);
    edge(0);
    EXPECT_EQ(take(), 0x50);
}

class PicPairTest : public ::testing::Test {
 protected:
    PicPairTest() {
        for (IoHandler* ports : {&pics.master_ports(), &pics.slave_ports()}) {
            const bool master = ports == &pics.master_ports();
            ports->write(0, 1, 0x11);
            ports->write(1, 1, master ? 0x30 : 0x38);
            ports->write(1, 1, master ? 0x04 : 0x02);
            ports->write(1, 1, 0x01);
            ports->write(1, 1, 0x00);
        }
    }
    testing::RecordingLine intr;
    PicPair pics{intr};
};

TEST_F(PicPairTest, SlaveInterruptsGoThroughTheCascade) {
    pics.input(12).set(true);
    EXPECT_TRUE(intr.level());
    EXPECT_EQ(pics.acknowledge(), 0x3c);
    EXPECT_FALSE(intr.level());
    pics.input(9).pulse();  // higher priority in the slave, but the cascade is in service
    EXPECT_FALSE(intr.level());
    pics.slave_ports().write(0, 1, 0x20);
    EXPECT_FALSE(intr.level());
    pics.master_ports().write(0, 1, 0x20);
    EXPECT_TRUE(intr.level());
    EXPECT_EQ(pics.acknowledge(), 0x39);
}

TEST_F(PicPairTest, SlaveSpuriousInterruptLeavesTheCascadeInService) {
    pics.elcr_ports().write(1, 1, 0x02);
    pics.input(9).set(true);
    pics.input(9).set(false);
    // The master's edge is already latched.
    EXPECT_TRUE(intr.level());
    EXPECT_EQ(pics.acknowledge(), 0x3f);
    pics.master_ports().write(0, 1, 0x0b);
    EXPECT_EQ(pics.master_ports().read(0, 1), 0x04u);
    pics.slave_ports().write(0, 1, 0x0b);
    EXPECT_EQ(pics.slave_ports().read(0, 1), 0x00u);
}

TEST_F(PicPairTest, MasterSpuriousInterruptIsSeven) {
    EXPECT_EQ(pics.acknowledge(), 0x37);
}

TEST_F(PicPairTest, ElcrMasksWhatIsFixedToEdges) {
    pics.elcr_ports().write(0, 2, 0xffff);
    EXPECT_EQ(pics.elcr_ports().read(0, 2), 0xdef8u);
}

TEST_F(PicPairTest, TwoSlaveRequestsOneAfterTheOther) {
    pics.input(8).pulse();
    pics.input(14).pulse();
    EXPECT_EQ(pics.acknowledge(), 0x38);
    pics.slave_ports().write(0, 1, 0x20);
    pics.master_ports().write(0, 1, 0x20);
    EXPECT_TRUE(intr.level());
    EXPECT_EQ(pics.acknowledge(), 0x3e);
}

TEST_F(PicPairTest, ResetForgetsEverythingButThePins) {
    pics.input(4).set(true);
    pics.reset();
    EXPECT_TRUE(pics.master_ports().read(1, 1) == 0);
    EXPECT_FALSE(intr.level());
}

}  // namespace
}  // namespace mynah
