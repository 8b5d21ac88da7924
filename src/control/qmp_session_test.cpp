#include "control/qmp_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "control/recording_machine_test.h"

namespace mynah {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class QmpSessionTest : public ::testing::Test {
  protected:
    QmpSessionTest() { greeting_ = json::parse(session_.take_output()); }

    // The answers to it, each on a line of its own.
    std::vector<json> say(const std::string& text) {
        open_ = session_.receive(text);
        std::vector<json> answers;
        std::istringstream lines(session_.take_output());
        for (std::string line; std::getline(lines, line);) answers.push_back(json::parse(line));
        return answers;
    }
    json ask(const std::string& text) {
        const std::vector<json> answers = say(text);
        EXPECT_EQ(answers.size(), 1u) << text;
        return answers.empty() ? json() : answers.front();
    }
    void negotiate() {
        EXPECT_EQ(ask(R"({"execute":"qmp_capabilities"})"), json::parse(R"({"return":{}})"));
    }
    std::string failure(const std::string& text) {
        const json answer = ask(text);
        EXPECT_TRUE(answer.contains("error")) << answer;
        return answer.contains("error") ? answer["error"]["desc"].get<std::string>() : "";
    }
    std::string failure_class(const std::string& text) { return ask(text)["error"]["class"]; }

    testing::RecordingMachine machine_;
    QmpSession session_{machine_};
    json greeting_;
    bool open_ = true;
};

TEST_F(QmpSessionTest, GreetsAndNegotiates) {
    EXPECT_TRUE(greeting_["QMP"]["version"]["qemu"]["major"].is_number());
    EXPECT_EQ(greeting_["QMP"]["capabilities"], json::array());
    EXPECT_EQ(failure_class(R"({"execute":"query-name"})"), "CommandNotFound");
    EXPECT_THAT(failure(R"({"execute":"quit"})"), HasSubstr("capabilities"));
    EXPECT_THAT(machine_.notes(), IsEmpty());
    negotiate();
    EXPECT_THAT(failure(R"({"execute":"qmp_capabilities"})"), HasSubstr("already"));
    EXPECT_EQ(ask(R"({"execute":"query-name"})"), json::parse(R"({"return":{"name":"box"}})"));
}

TEST_F(QmpSessionTest, Queries) {
    negotiate();
    EXPECT_EQ(ask(R"({"execute":"query-status"})")["return"]["status"], "running");
    EXPECT_EQ(ask(R"({"execute":"query-version"})")["return"], greeting_["QMP"]["version"]);
    const json commands = ask(R"({"execute":"query-commands"})")["return"];
    for (const char* name : {"qmp_capabilities", "query-commands", "screendump", "quit"})
        EXPECT_NE(std::ranges::find(commands, json{{"name", name}}), commands.end()) << name;
    EXPECT_TRUE(open_);
}

TEST_F(QmpSessionTest, DevicesComeAndGo) {
    negotiate();
    const auto add = [&](const char* id, const char* value) {
        return ask(
            json{{"execute", "device_add"},
                 {"arguments", {{"driver", "virtio-blk-pci"}, {"id", id}, {"x-value", value}}}}
                .dump());
    };
    EXPECT_EQ(add("disk1", "path=a")["return"], json::object());
    EXPECT_EQ(add("disk1", "refused")["error"]["desc"], "refused: no slot");
    EXPECT_TRUE(add("no good", "path=a").contains("error"));
    EXPECT_TRUE(add("", "path=a").contains("error"));
    EXPECT_TRUE(ask(R"({"execute":"device_add","arguments":{"id":"x"}})").contains("error"));
    EXPECT_EQ(ask(R"({"execute":"device_del","arguments":{"id":"disk1"}})")["return"],
              json::object());
    const json list =
        ask(R"({"execute":"qom-list","arguments":{"path":"/machine/peripheral"}})")["return"];
    ASSERT_EQ(list.size(), 1u);
    EXPECT_EQ(list[0]["name"], "disk1");
    EXPECT_TRUE(ask(R"({"execute":"qom-list","arguments":{"path":"/"}})").contains("error"));
    EXPECT_THAT(machine_.notes(),
                ElementsAre("attach virtio-blk-pci disk1 path=a",
                            "attach virtio-blk-pci disk1 refused", "detach disk1"));
}

TEST_F(QmpSessionTest, ActsOnTheMachine) {
    negotiate();
    for (const char* name : {"system_powerdown", "system_reset", "quit"})
        EXPECT_EQ(ask(json{{"execute", name}}.dump())["return"], json::object()) << name;
    EXPECT_THAT(machine_.notes(), ElementsAre("power button", "reset", "quit"));
}

TEST_F(QmpSessionTest, ChangesMedia) {
    negotiate();
    const json drives = ask(R"({"execute":"query-block"})")["return"];
    ASSERT_EQ(drives.size(), 2u);
    EXPECT_EQ(drives[0]["device"], "cd0");
    EXPECT_EQ(drives[0]["inserted"]["file"], "/images/a.iso");
    EXPECT_TRUE(drives[0]["locked"].get<bool>() && drives[1]["tray_open"].get<bool>());
    EXPECT_FALSE(drives[1].contains("inserted"));
    ask(R"({"execute":"eject","arguments":{"device":"cd0"}})");
    ask(R"({"execute":"eject","arguments":{"id":"cd1","force":true}})");
    ask(R"({"execute":"blockdev-change-medium","arguments":{"id":"cd0","filename":"/b.iso"}})");
    EXPECT_THAT(machine_.notes(), ElementsAre("change cd0 to ''", "change cd1 to '' by force",
                                              "change cd0 to '/b.iso'"));
    EXPECT_THAT(failure(R"({"execute":"eject","arguments":{"force":"yes"}})"),
                HasSubstr("'force', expected: boolean"));
    EXPECT_THAT(failure(R"({"execute":"blockdev-change-medium","arguments":{"id":"cd0"}})"),
                HasSubstr("'filename' is missing"));
    EXPECT_THAT(
        failure(
            R"({"execute":"blockdev-change-medium","arguments":{"id":"a","filename":"refused"}})"),
        HasSubstr("no medium"));
}

TEST_F(QmpSessionTest, PlugsMemory) {
    negotiate();
    const json devices = ask(R"({"execute":"query-memory-devices"})")["return"];
    ASSERT_EQ(devices.size(), 1u);
    EXPECT_EQ(devices[0]["data"]["size"], 2 << 20);
    const auto property = [](const char* command, const char* path, const char* name, json more) {
        json arguments{{"path", path}, {"property", name}};
        arguments.update(more);
        return json{{"execute", command}, {"arguments", arguments}}.dump();
    };
    const json none = json::object();
    EXPECT_EQ(ask(property("qom-get", "mem0", "requested-size", none))["return"], 4 << 20);
    ask(property("qom-set", "/machine/peripheral/mem0", "requested-size", {{"value", 8192}}));
    EXPECT_THAT(machine_.notes(), ElementsAre("memory 8192"));
    EXPECT_THAT(failure(property("qom-set", "mem1", "requested-size", {{"value", 1}})),
                HasSubstr("path 'mem1'"));
    EXPECT_THAT(failure(property("qom-set", "mem0", "size", {{"value", 1}})),
                HasSubstr("expected requested-size"));
    EXPECT_THAT(failure(property("qom-set", "mem0", "requested-size", {{"value", -1}})),
                HasSubstr("expects a size"));
    EXPECT_THAT(failure(property("qom-get", "mem0", "colour", none)), HasSubstr("'colour'"));
}

TEST_F(QmpSessionTest, TakesScreenshots) {
    negotiate();
    const auto shot = [](const json& arguments) {
        return json{{"execute", "screendump"}, {"arguments", arguments}}.dump();
    };
    EXPECT_EQ(ask(shot({{"filename", "/a b"}, {"format", "png"}}))["return"], json::object());
    EXPECT_THAT(machine_.notes(), ElementsAre("screenshot /a b"));
    EXPECT_EQ(failure(shot({{"filename", "refused"}, {"format", "png"}})), "refused: no picture");
    EXPECT_THAT(failure(shot({{"filename", "/x"}})), HasSubstr("'png'"));
    EXPECT_THAT(failure(shot({{"filename", "/x"}, {"format", "ppm"}})), HasSubstr("'png'"));
    EXPECT_THAT(failure(shot({{"format", "png"}})), HasSubstr("'filename' is missing"));
    EXPECT_THAT(failure(shot({{"filename", 5}, {"format", "png"}})), HasSubstr("'filename'"));
    EXPECT_THAT(failure(shot({{"filename", "/x"}, {"head", "0"}})), HasSubstr("'head'"));
    EXPECT_THAT(failure(shot({{"filename", ""}, {"format", "png"}})), HasSubstr("path"));
    EXPECT_THAT(failure(shot({{"filename", std::string("a\0b", 3)}, {"format", "png"}})),
                HasSubstr("path"));
    EXPECT_EQ(machine_.notes().size(), 2u);
}

TEST_F(QmpSessionTest, AnswersCarryTheRequestsId) {
    const std::string id = R"({"a":[1,"x"]})";
    EXPECT_EQ(ask(R"({"id":)" + id + R"(,"execute":"qmp_capabilities"})")["id"], json::parse(id));
    EXPECT_EQ(ask(R"({"execute":"none","id":7})")["id"], 7);
    EXPECT_FALSE(ask(R"({"execute":"none"})").contains("id"));
}

TEST_F(QmpSessionTest, RequestsComeInAnyPieces) {
    const std::string text =
        "{\"execute\":\n \"qmp_capabilities\"}{\"execute\":\"query-name\",\"id\":\"}\\\"{\"}\r\n";
    std::vector<json> answers;
    for (const char c : text) {
        for (json& answer : say(std::string(1, c))) answers.push_back(std::move(answer));
    }
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_EQ(answers[0]["return"], json::object());
    EXPECT_EQ(answers[1]["return"]["name"], "box");
    EXPECT_EQ(answers[1]["id"], "}\"{");
    EXPECT_EQ(say(text).size(), 2u);
}

TEST_F(QmpSessionTest, WrongRequestsAreAnsweredAndTheNextIsHeard) {
    negotiate();
    for (const char* text :
         {"garbage\n", "[1]\n", "5\n", "{]", "{\"a\" 1}", "{}", R"({"execute":5})",
          R"({"execute":"query-name","arguments":[]})", R"({"execute":"query-name","more":1})",
          R"({"execute":"query-name","arguments":{"x":"y"}})",
          R"({"execute":"query-name","arguments":{"":"y"}})", "{\"execute\":\"\xff\xfe\"}"}) {
        EXPECT_EQ(failure_class(text), "GenericError") << text;
        EXPECT_TRUE(open_);
    }
    EXPECT_EQ(failure_class(R"({"execute":"query-names"})"), "CommandNotFound");
    EXPECT_EQ(ask(R"({"execute":"query-name"})")["return"]["name"], "box");
}

TEST_F(QmpSessionTest, TooLongOrTooDeepEndsIt) {
    {
        QmpSession session(machine_);
        EXPECT_FALSE(session.receive(std::string(33, '[').insert(0, "{\"id\":")));
        session.take_output();
        EXPECT_TRUE(session.receive("{}"));  // it hears no more
        EXPECT_EQ(session.take_output(), "");
    }
    {
        QmpSession session(machine_);
        EXPECT_FALSE(session.receive("{\"id\":\"" + std::string(70'000, 'x')));
        EXPECT_THAT(session.take_output(), HasSubstr("too long"));
    }
    QmpSession session(machine_);
    EXPECT_FALSE(session.receive(std::string(70'000, 'x')));
}

}  // namespace
}  // namespace mynah
