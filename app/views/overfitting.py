import streamlit as st
from workbench.viewing.page import begin
page=begin("Overview","x")
