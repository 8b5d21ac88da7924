// Local APICs that an engine has for a while.

#include <vector>

#include "device/interrupt/local_apic_fixture_test.h"

namespace mynah::testing {
namespace {

// What an engine would be sent.
class Engine final : public EngineApics {
  public:
    bool send(uint64_t address, uint32_t data) override {
        sent.push_back({address, data});
        return taken;
    }
    void set_route(unsigned pin, uint64_t address, uint32_t data) override {
        routes.emplace_back(pin, address, data);
    }
    std::vector<std::pair<uint64_t, uint32_t>> sent;
    std::vector<std::tuple<unsigned, uint64_t, uint32_t>> routes;
    bool taken = true;
};

// Every register that software or an interrupt can change, there and back on another processor.
TEST_F(LocalApicTest, ComesBackAsItWent) {
    enable_all();
    write(0, Register::kTpr, 0x20);
    write(0, Register::kLdr, 0x04000000);
    write(0, Register::kDfr, 0x0fffffff);
    write(0, Register::kLvtLint0, 0x10700);
    write(0, Register::kLvtError, 0xfe);
    write(0, Register::kIcrHigh, 0x03000000);
    send(0, 0x41);
    send(0, 0x52);
    EXPECT_EQ(take(0), 0x52);
    send(0, 0x99);
    const ApicImage image = apics[0]->lend();
    EXPECT_FALSE(pending(0));
    const auto before = image.registers;
    apics[0]->init();
    apics[0]->take_back(image);
    EXPECT_EQ(apics[0]->lend().registers, before);
    apics[0]->take_back(image);
    EXPECT_EQ(take(0), 0x99);
    write(0, Register::kEoi, 0);
    write(0, Register::kEoi, 0);
    EXPECT_EQ(take(0), 0x41);
}

TEST_F(LocalApicTest, TimersGoOnWhereTheyWere) {
    enable_all();
    write(0, Register::kDivide, 0xb);
    write(0, Register::kLvtTimer, 0x200ec);
    write(0, Register::kInitialCount, 1'000'000);
    clock.advance(400'000);
    ApicImage image = apics[0]->lend();
    EXPECT_EQ(clock.armed(), 0u) << "it is the engine's";
    clock.advance(100'000);  // there it stood still
    apics[0]->take_back(image);
    clock.advance(599'999);
    EXPECT_FALSE(pending(0));
    clock.advance(1);
    EXPECT_EQ(take(0), 0xec);
    write(0, Register::kEoi, 0);
    clock.advance(1'000'000);
    EXPECT_EQ(take(0), 0xec);
    write(0, Register::kEoi, 0);

    write(0, Register::kLvtTimer, 0x400ed);
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, (clock.now_ns() + 500) * 2));
    image = apics[0]->lend();
    clock.advance(1000);
    EXPECT_FALSE(pending(0));
    apics[0]->take_back(image);
    EXPECT_EQ(take(0), 0xed) << "it passed meanwhile";
}

TEST_F(LocalApicTest, WhatWasGivenBackComesFirst) {
    enable_all();
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    send(0, 0x99);
    apics[0]->give_back(0x41);
    const ApicImage image = apics[0]->lend();
    EXPECT_EQ(image.unfinished, 0x41);
    apics[0]->take_back(image);
    EXPECT_TRUE(pending(0));
    EXPECT_EQ(take(0), 0x41);
    EXPECT_TRUE(pending(0));
    EXPECT_EQ(take(0), 0x99);
    EXPECT_EQ(take(0), -1);
}

// The PIC's wire is all that is left here.
TEST_F(LocalApicTest, ExternalInterruptsWhileItIsLent) {
    enable_all();
    const ApicImage image = apics[0]->lend();
    EXPECT_EQ(take(0), -1);
    bus.lint0().set(true);
    EXPECT_TRUE(pending(0)) << "whatever LINT0 says: the engine has it";
    EXPECT_EQ(take(0), 0x30);
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(pic.acknowledged, 1);
    bus.lint0().set(true);
    bus.lint0().set(false);
    EXPECT_EQ(take(0), -1);
    EXPECT_FALSE(pending(0));
    apics[0]->take_back(image);
}

TEST_F(LocalApicTest, MessagesGoWhereTheApicsAre) {
    enable_all();
    Engine engine;
    bus.use(&engine);
    bus.send({0xfee01000, 0x41});
    send(2, 0x55, true, DeliveryMode::kLowestPriority);
    EXPECT_EQ(engine.sent, (std::vector<std::pair<uint64_t, uint32_t>>{{0xfee01000, 0x41},
                                                                       {0xfee0200c, 0x155}}));
    ApicMessage level{
        .destination = ApicMessage::kBroadcast, .vector = 0x66, .level_triggered = true};
    engine.taken = false;
    EXPECT_FALSE(bus.deliver(level));
    EXPECT_EQ(engine.sent.back(), (std::pair<uint64_t, uint32_t>{0xfeeff000, 0xc066}));
    EXPECT_FALSE(pending(1));

    bus.hold();
    bus.send({0xfee01000, 0x42});
    bus.send({0xfee01000, 0x42});
    EXPECT_FALSE(pending(1));
    EXPECT_EQ(engine.sent.size(), 3u);
    bus.use(nullptr);
    EXPECT_EQ(take(1), 0x42);
    EXPECT_EQ(take(1), -1);
}

// Whose end is to be seen must be known before it is sent, and is told anew to another engine.
TEST_F(LocalApicTest, RoutesOfLevels) {
    IoApic io_apic(bus, clock);
    const auto set = [&](unsigned pin, uint32_t low, uint32_t destination) {
        io_apic.write(0, 4, 0x10 + 2 * pin + 1);
        io_apic.write(0x10, 4, destination << 24);
        io_apic.write(0, 4, 0x10 + 2 * pin);
        io_apic.write(0x10, 4, low);
    };
    using Route = std::tuple<unsigned, uint64_t, uint32_t>;
    set(5, 0x8055, 1);
    Engine engine, other;
    bus.use(&engine);
    EXPECT_EQ(engine.routes, (std::vector<Route>{{5, 0xfee01000, 0xc055}}));
    set(6, 0x44, 1);     // an edge
    set(5, 0x18055, 1);  // masked for a moment
    set(5, 0x8055, 1);
    EXPECT_EQ(engine.routes.size(), 1u);
    set(5, 0x8056, 1);
    EXPECT_EQ(engine.routes.back(), Route(5, 0xfee01000, 0xc056));
    bus.hold();
    bus.use(&other);
    EXPECT_EQ(other.routes, (std::vector<Route>{{5, 0xfee01000, 0xc056}}));
    other.taken = false;
    io_apic.pin(5).set(true);
    EXPECT_EQ(other.sent.size(), 1u);
    other.taken = true;
    io_apic.pin(5).set(false);
    io_apic.pin(5).set(true);
    EXPECT_EQ(other.sent.size(), 2u) << "what nobody took is sent again";
    io_apic.end_of_interrupt(0x56);
    EXPECT_EQ(other.sent.size(), 3u) << "still asserted";
    bus.use(nullptr);
}

}  // namespace
}  // namespace mynah::testing
